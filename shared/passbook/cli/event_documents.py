"""Stored events as the command line shows them: one JSON object, or one line."""

import orjson
from rich.text import Text

from passbook.eventstore.store import RecordedEvent
from passbook.messaging.cloudevents import format_time


def event_document(event: RecordedEvent) -> dict[str, object]:
    """Return what `account history --json` tells of an event.

    `data` is as it was stored, of its `schema_version`; `command_id` and `actor` are null where
    the event was not caused by a command, or by an anonymous one.
    """
    context = orjson.loads(event.metadata)
    return {
        "slot": event.slot,
        "slot_seq": event.slot_seq,
        "version": event.version,
        "event_type": event.event_type,
        "event_id": str(event.event_id),
        "schema_version": event.schema_version,
        "data": orjson.loads(event.data),
        "occurred_at": format_time(event.occurred_at),
        "recorded_at": format_time(event.recorded_at),
        "command_id": context.get("command_id"),
        "actor": context.get("actor"),
    }


def facts(event: RecordedEvent) -> Text:
    """Return what an event says beyond its envelope, on one line."""
    data = orjson.loads(event.data)
    said = {name: value for name, value in data.items() if name != "account_id" and value}
    return Text("  ".join(f"{name} {value}" for name, value in said.items()))
