"""The two sides of a verification, number by number: entries of the audit log, events of the store.

Both are read through server-side cursors, so memory does not grow with the log.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from passbook.eventstore.archive.files import Archive
from passbook.eventstore.archive.segments import GROUP_SIZE
from passbook.eventstore.archive.through import ReadThrough
from passbook.eventstore.store import RecordedEvent
from passbook.messaging.cloudevents import format_time
from services.audit_projector.chain import entry_hash

ROWS_AT_ONCE: Final = 1000

_ENTRIES: Final = """
SELECT slot_seq, event_id, account_id, version, event_type, schema_version, data, actor, command_id,
       correlation_id, occurred_at, recorded_at, prev_hash, hash
  FROM audit.entries WHERE slot = $1 ORDER BY slot_seq
"""
_EVENTS: Final = """
SELECT slot_seq, event_id, stream_id, version, event_type, schema_version, data, metadata,
       occurred_at, recorded_at
  FROM eventstore.events WHERE slot = $1 AND slot_seq <= $2 ORDER BY slot_seq
"""
_STORED: Final = "SELECT EXISTS (SELECT FROM eventstore.events WHERE slot = $1 AND event_id = $2)"


class Entry(NamedTuple):
    """What the audit log says. `data` is the text that was hashed."""

    slot_seq: int
    event_id: UUID
    account_id: UUID
    version: int
    event_type: str
    schema_version: int
    data: str
    actor: str
    command_id: str
    correlation_id: str
    occurred_at: datetime
    recorded_at: datetime
    prev_hash: bytes
    hash: bytes

    def content_hash(self, slot: int) -> bytes:
        """Return the hash that an entry with this content in this slot must have."""
        return entry_hash(
            self.prev_hash,
            slot,
            self.slot_seq,
            str(self.event_id),
            str(self.account_id),
            self.version,
            self.event_type,
            self.schema_version,
            self.data,
            self.actor,
            self.command_id,
            self.correlation_id,
            _formatted(self.occurred_at),
            _formatted(self.recorded_at),
        )


class Event(NamedTuple):
    """What the event store says. `data` and `metadata` are JSON texts."""

    slot_seq: int
    event_id: UUID
    stream_id: UUID
    version: int
    event_type: str
    schema_version: int
    data: str
    metadata: str
    occurred_at: datetime
    recorded_at: datetime


# Events that were decided or appended together share their times.
_formatted: Final = lru_cache(maxsize=16)(format_time)


def disagreements(entry: Entry, event: Event) -> list[str]:
    """Return the names of the facts on which the two sides of one event differ."""
    return [name for name, here, there in _facts(entry, event) if here != there]


def _facts(entry: Entry, event: Event) -> Iterator[tuple[str, object, object]]:
    context: Mapping[str, str] = orjson.loads(event.metadata)
    yield "event_id", entry.event_id, event.event_id
    yield "account_id", entry.account_id, event.stream_id
    yield "version", entry.version, event.version
    yield "event_type", entry.event_type, event.event_type
    yield "schema_version", entry.schema_version, event.schema_version
    yield "data", entry.data, event.data
    yield "occurred_at", entry.occurred_at, event.occurred_at
    yield "recorded_at", entry.recorded_at, event.recorded_at
    yield "command_id", entry.command_id, context.get("command_id", "")
    yield "correlation_id", entry.correlation_id, context.get("correlation_id", "")
    yield "actor", entry.actor, context.get("actor", "")


async def both_sides(
    entries: asyncpg.Connection,
    events: asyncpg.Connection,
    slot: int,
    up_to: int,
    archive: Archive | None = None,
) -> AsyncGenerator[tuple[int, Entry | None, Event | None], None]:
    """Yield every number of a slot that either side has, in order, with what stands there.

    Events are read up to the number `up_to`, from table and archive, entries to their end. Both
    connections are inside a transaction, that of the events in one that sees one moment.

    Raises:
        ArchiveUnreadable: a file of the archive is missing or was changed.
    """
    async with (
        aclosing(_rows(entries, _ENTRIES, slot)) as left,
        aclosing(_events(events, slot, up_to, archive)) as right,
    ):
        row, other = await anext(left, None), await anext(right, None)
        while row or other:
            numbers = [row["slot_seq"]] if row else []
            number = min(numbers + ([other.slot_seq] if other else []))
            entry = event = None
            if row and row["slot_seq"] == number:
                entry, row = Entry._make(row), await anext(left, None)
            if other and other.slot_seq == number:
                event, other = other, await anext(right, None)
            yield number, entry, event


async def stored(
    connection: asyncpg.Connection, slot: int, event_id: UUID, up_to: int, archive: Archive | None
) -> bool:
    """Tell whether a slot has an event, in the table or, up to a number, in the archive. Slow: for
    whoever has found a difference and wants to know which one.
    """
    if await connection.fetchval(_STORED, slot, event_id):
        return True
    through = ReadThrough(connection.fetch, archive)
    for start in range(1, up_to + 1, GROUP_SIZE):
        found = await through.between(slot, start, min(start + GROUP_SIZE - 1, up_to))
        if any(one.event_id == event_id for one in found):
            return True
    return False


async def _events(
    connection: asyncpg.Connection, slot: int, up_to: int, archive: Archive | None
) -> AsyncGenerator[Event, None]:
    """Yield the events of a slot; what is not in the table, and not in the archive either, is left
    out.
    """
    through = ReadThrough(connection.fetch, archive)
    following = 1
    async with aclosing(_rows(connection, _EVENTS, slot, up_to)) as rows:
        async for row in rows:
            for start in range(following, row["slot_seq"], GROUP_SIZE):
                end = min(start + GROUP_SIZE, row["slot_seq"]) - 1
                for one in await through.between(slot, start, end):
                    yield _as_event(one)
            yield Event._make(row)
            following = row["slot_seq"] + 1
        # Behind the last row in the table, too, if that is above `up_to`.
        for start in range(following, up_to + 1, GROUP_SIZE):
            for one in await through.between(slot, start, min(start + GROUP_SIZE - 1, up_to)):
                yield _as_event(one)


def _as_event(recorded: RecordedEvent) -> Event:
    return Event(*(getattr(recorded, name) for name in Event._fields))


async def _rows(
    connection: asyncpg.Connection, query: str, *arguments: object
) -> AsyncGenerator[asyncpg.Record, None]:
    cursor = await connection.cursor(query, *arguments)
    while rows := await cursor.fetch(ROWS_AT_ONCE):
        for row in rows:
            yield row
