"""Events on the wire: the relay writes them, projectors and everybody else read them."""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID

import orjson

from passbook.domain.events import EVENT_TYPES, AccountEvent, event_from_data
from passbook.domain.slots import SLOT_COUNT
from passbook.domain.upcasting import EventUpcaster
from passbook.messaging.cloudevents import JSON, PASSED_ON, SOURCE, SPECVERSION, Header, format_time

_UPCASTER: Final = EventUpcaster()
_TYPES: Final = {name: f"bank.{name}".encode() for name in EVENT_TYPES}

_NAMES: Final = {header: name for name, header in _TYPES.items()}


class PublishedEvent(NamedTuple):
    """An event as it came from Kafka, or as it would have come when it was read from the store.

    Everything but the numbers is the text or bytes of the wire: a projection parses what it needs.
    """

    slot: int
    slot_seq: int
    account_id: str
    version: int
    event_type: str
    schema_version: int
    event_id: str
    data: bytes
    time: str
    recorded_time: str
    command_id: str
    correlation_id: str
    actor: str

    def decode(self, upcaster: EventUpcaster = _UPCASTER) -> AccountEvent:
        """Return the domain event, read as the newest schema version.

        Raises:
            UnknownEventType, UnknownSchemaVersion: never skip it; upgrade.
        """
        return event_from_data(
            self.event_type,
            upcaster.upcast(self.event_type, self.schema_version, orjson.loads(self.data)),
            account_id=UUID(self.account_id),
            event_id=UUID(self.event_id),
            occurred_at=datetime.fromisoformat(self.time),
            version=self.version,
        )


class ForeignRecord(ValueError):
    """A record of the event topic that this ledger's relay did not write."""


def decode(key: bytes | None, value: bytes | None, headers: Iterable[Header]) -> PublishedEvent:
    """Return the event in a record of the event topic.

    Raises:
        ForeignRecord: a header is missing or null, is no number, or names no slot.
    """
    found = dict(headers)
    try:
        if key is None or value is None:
            raise KeyError("key" if key is None else "value")  # noqa: TRY301
        slot = int(found["ce_slot"])
        if not 0 <= slot < SLOT_COUNT:
            raise ValueError(slot)  # noqa: TRY301
        return PublishedEvent(
            slot,
            int(found["ce_slotseq"]),
            key.decode(),
            int(found["ce_version"]),
            _NAMES.get(found["ce_type"]) or found["ce_type"].decode().removeprefix("bank."),
            int(found["ce_schemaversion"]),
            found["ce_id"].decode(),
            value,
            found["ce_time"].decode(),
            found["ce_recordedtime"].decode(),
            found["ce_commandid"].decode() if "ce_commandid" in found else "",
            found["ce_correlationid"].decode() if "ce_correlationid" in found else "",
            found["ce_actor"].decode() if "ce_actor" in found else "",
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:  # a header may be null
        # Without the value: it may be anything, and this is logged.
        wrong = f"no {error.args[0]}" if isinstance(error, KeyError) else "a header makes no sense"
        message = f"not an event of ours: {wrong}"
        raise ForeignRecord(message) from error


# Events that were decided or appended together share their times.
_formatted: Final = lru_cache(maxsize=64)(format_time)


def encode_headers(  # noqa: PLR0913 - one argument a column of the log
    slot: int,
    slot_seq: int,
    key: bytes,
    version: int,
    event_id: UUID,
    event_type: str,
    schema_version: int,
    metadata: str,
    occurred_at: datetime,
    recorded_at: datetime,
) -> list[Header]:
    """Return the headers of one event. `key` is the lower-case text of the account id."""
    context = orjson.loads(metadata)
    headers = [
        SPECVERSION,
        ("ce_id", str(event_id).encode()),
        ("ce_type", _TYPES.get(event_type) or f"bank.{event_type}".encode()),
        SOURCE,
        ("ce_subject", key),
        ("ce_time", _formatted(occurred_at).encode()),
        ("ce_recordedtime", _formatted(recorded_at).encode()),
        JSON,
        ("ce_slot", b"%d" % slot),
        ("ce_slotseq", b"%d" % slot_seq),
        ("ce_version", b"%d" % version),
        ("ce_schemaversion", b"%d" % schema_version),
    ]
    if context:
        headers.append(("ce_commandid", context["command_id"].encode()))
        if len(context) > 1:
            headers += [
                (header, context[name].encode()) for name, header in PASSED_ON if name in context
            ]
    return headers
