"""What an append made of new events: numbered, timed, and in the text that is read back."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

import asyncpg
import orjson

from passbook.eventstore.store import NewEvent, RecordedEvent

InlineHook = Callable[[asyncpg.Connection, Sequence[RecordedEvent]], Awaitable[None]]
"""Called inside the transaction of an append, with what it has recorded. Whatever it raises, the
append did not happen. It must let failures of the connection out: after one, PostgreSQL would end
the transaction by rolling it back, whatever it is told."""


def recorded_events(
    events: Sequence[NewEvent], slots: Mapping[int, tuple[int, datetime]]
) -> list[RecordedEvent]:
    """Return appended events as they stand in the log, given their slots' new head and time."""
    numbers = {slot: head for slot, (head, _) in slots.items()}
    for event in events:
        numbers[event.slot] -= 1
    recorded = []
    for event in events:
        numbers[event.slot] += 1
        recorded.append(record(event, numbers[event.slot], slots[event.slot][1]))
    return recorded


def record(event: NewEvent, slot_seq: int, recorded_at: datetime) -> RecordedEvent:
    """Return one event as it stands in the log."""
    return RecordedEvent(
        event.slot,
        slot_seq,
        event.stream_id,
        event.version,
        event.event_id,
        event.event_type,
        event.schema_version,
        _as_jsonb(event.data),
        _as_jsonb(event.metadata),
        event.occurred_at,
        recorded_at,
    )


def _as_jsonb(text: str) -> str:
    """Return JSON the way PostgreSQL's jsonb prints it: shorter keys first, ", " and ": "."""
    value = orjson.loads(text)
    keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
    parts = (f"{_quoted(key)}: {_quoted(value[key])}" for key in keys)
    return "{" + ", ".join(parts) + "}"


def _quoted(value: object) -> str:
    return orjson.dumps(value).decode()
