"""What spans say about one event: ids and numbers, and nothing else that a sender has written.

Anybody may have published a record, so nothing is said that does not look as it should.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from passbook.tracing.following import Headers, sampled_by

_ID: Final = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_TYPE: Final = re.compile(rb"bank\.[A-Za-z]{1,40}", re.ASCII)
_NUMBER: Final = re.compile(rb"[0-9]{1,18}", re.ASCII)

Outgoing = tuple[bytes | None, bytes | None, Headers]
"""Key, value and headers of a record that is about to be published."""


def sampled_outgoing(record: Outgoing) -> str | None:
    """Return the `traceparent` of an event that is about to be published, when it is sampled."""
    return sampled_by(record[2])


def sampled_record(record: Any) -> str | None:
    """Return the `traceparent` of an event as Kafka's client hands it out, when it is sampled."""
    return sampled_by(record.headers)


def published_event(record: Outgoing) -> dict[str, str | int]:
    """Return what is said about an event that is published."""
    key, _, headers = record
    return _event(key, dict(headers))


def consumed_event(record: Any) -> dict[str, str | int]:
    """Return what is said about an event that was consumed."""
    return {**where(record), **_event(record.key, dict(record.headers))}


def where(record: Any) -> dict[str, str | int]:
    """Return which record of its topic it is."""
    return {
        "messaging.destination.partition.id": str(record.partition),
        "messaging.kafka.offset": record.offset,
    }


def _event(key: bytes | None, headers: Mapping[str, bytes | None]) -> dict[str, str | int]:
    texts = {
        "messaging.message.id": (_ID, headers.get("ce_id")),
        "messaging.kafka.message.key": (_ID, key),
        "cloudevents.event_type": (_TYPE, headers.get("ce_type")),
        "passbook.command.id": (_ID, headers.get("ce_commandid")),
    }
    numbers = {
        "passbook.slot": headers.get("ce_slot"),
        "passbook.slot_seq": headers.get("ce_slotseq"),
    }
    told: dict[str, str | int] = {
        name: value.decode()
        for name, (pattern, value) in texts.items()
        if value is not None and pattern.fullmatch(value)
    }
    told |= {
        name: int(value)
        for name, value in numbers.items()
        if value is not None and _NUMBER.fullmatch(value)
    }
    return told
