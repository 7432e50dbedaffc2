"""A stored event as one JSON object: what the command line and the HTTP service tell of it.

It says what the event means to this code. One that it cannot read ends the verb, or the stream, with
its type and version in the message: to show half of a history, or a newer event as if it were
understood, would be a guess. `passbook audit show` shows what is stored, whatever it means.
"""

import orjson

from passbook.domain.upcasting import EventUpcaster
from passbook.eventstore.store import RecordedEvent
from passbook.messaging.cloudevents import format_time

_UPCASTER = EventUpcaster()


def event_document(event: RecordedEvent) -> dict[str, object]:
    """Return what the history of an account tells of an event.

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
        "read_as": newest_data(event),
        "occurred_at": format_time(event.occurred_at),
        "recorded_at": format_time(event.recorded_at),
        "command_id": context.get("command_id"),
        "actor": context.get("actor"),
    }


def log_document(event: RecordedEvent) -> dict[str, object]:
    """Return what the log of all accounts tells of an event: the same, and whose it is.

    Raises:
        UnknownEventType, UnknownSchemaVersion: this code is too old for it.
    """
    return event_document(event) | {"stream_id": str(event.stream_id)}


def newest_data(event: RecordedEvent) -> dict[str, str]:
    """Return an event's data in the newest shape.

    Raises:
        UnknownEventType, UnknownSchemaVersion: this code is too old for it.
    """
    return _UPCASTER.upcast(event.event_type, event.schema_version, orjson.loads(event.data))
