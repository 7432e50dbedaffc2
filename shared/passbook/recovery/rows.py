"""Rows of the event store as they can be told from what was published of them."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from passbook.eventstore.store import CommandOutcome, RecordedEvent
from passbook.messaging.cloudevents import PASSED_ON
from passbook.messaging.consumer import Record
from passbook.messaging.events import PublishedEvent
from passbook.messaging.outcomes import CONFLICT

_NAMES: Final = (("command_id", "ce_commandid"), *PASSED_ON)


def event_row(event: PublishedEvent, record: Record) -> RecordedEvent:
    """Return the row of the log that `record`, which was decoded to `event`, was published from."""
    headers = dict(record.headers)
    metadata = {name: headers[header].decode() for name, header in _NAMES if header in headers}
    return RecordedEvent(
        event.slot,
        event.slot_seq,
        UUID(event.account_id),
        event.version,
        UUID(event.event_id),
        event.event_type,
        event.schema_version,
        event.data.decode(),
        orjson.dumps(metadata).decode(),
        datetime.fromisoformat(event.time),
        datetime.fromisoformat(event.recorded_time),
    )


def command_of(row: RecordedEvent) -> UUID | None:
    """Return the id of the command that caused an event; None for one of a direct writer."""
    command_id = orjson.loads(row.metadata).get("command_id")
    return None if command_id is None else UUID(command_id)


def outcome_row(record: Record) -> CommandOutcome | None:
    """Return what is stored of a published outcome; None for the answer to a conflict over an id,
    which is stored nowhere, and for what is no outcome.
    """
    headers = dict(record.headers)
    try:
        document: dict[str, Any] = orjson.loads(record.value or b"")
        error = document["error"] or {"code": None, "message": None}
        if error["code"] == CONFLICT:
            return None
        account_id = document["account_id"]
        return CommandOutcome(
            UUID(document["command_id"]),
            bytes.fromhex(headers["ce_requesthash"].decode()),
            None if account_id is None else UUID(account_id),
            document["version"],
            tuple(map(UUID, document["events"])),
            error["code"],
            error["message"],
            datetime.fromisoformat(headers["ce_time"].decode()),
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
