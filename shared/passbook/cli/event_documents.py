"""Stored events as the command line shows them: one JSON object, or one line.

Both say what the events mean to this code. One that it cannot read ends the verb, with its type and
version in the message: to show half of a history, or a newer event as if it were understood, would
be a guess. `passbook audit show` shows what is stored, whatever it means.
"""

import orjson
from rich.text import Text

from passbook.domain.upcasting import EventUpcaster
from passbook.eventstore.store import RecordedEvent
from passbook.messaging.cloudevents import format_time

_UPCASTER = EventUpcaster()


def event_document(event: RecordedEvent) -> dict[str, object]:
    """Return what `account history --json` tells of an event.

    `data` is as it was stored, of its `schema_version`, `read_as` the same in the newest shape;
    `command_id` and `actor` are null where the event was not caused by a command, or by an
    anonymous one.

    Raises:
        UnknownEventType, UnknownSchemaVersion: this code is too old for it.
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
        "read_as": _data(event),
        "occurred_at": format_time(event.occurred_at),
        "recorded_at": format_time(event.recorded_at),
        "command_id": context.get("command_id"),
        "actor": context.get("actor"),
    }


def facts(event: RecordedEvent) -> Text:
    """Return what an event says beyond its envelope, in the newest shape, on one line.

    Raises:
        UnknownEventType, UnknownSchemaVersion: this code is too old for it.
    """
    data = _data(event)
    said = {name: value for name, value in data.items() if name != "account_id" and value}
    return Text("  ".join(f"{name} {value}" for name, value in said.items()))


def _data(event: RecordedEvent) -> dict[str, str]:
    return _UPCASTER.upcast(event.event_type, event.schema_version, orjson.loads(event.data))
