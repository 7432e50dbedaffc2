"""The event store in PostgreSQL: every write is one call of the function `eventstore.append`."""

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from passbook.domain.events import AccountEvent
from passbook.domain.slots import slot_of
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.archive.through import ReadThrough
from passbook.eventstore.errors import MomentNotPast
from passbook.eventstore.pool import FAILURES, lent
from passbook.eventstore.recording import InlineHook, recorded_events
from passbook.eventstore.store import (
    CommandOutcome,
    NewEvent,
    RecordedEvent,
    check_numbering,
    new_event,
)
from passbook.eventstore.translation import translate

_APPEND: Final = """
SELECT FROM eventstore.append(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
"""
_APPEND_TELLING: Final = _APPEND.replace("SELECT FROM", "SELECT * FROM")
_EVENT: Final = (
    "slot, slot_seq, stream_id, version, event_id, event_type, schema_version, data, metadata, "
    "occurred_at, recorded_at"
)
# Behind the events, a row of number 0 says up to which version a stream is archived.
_ARCHIVED: Final = """
SELECT a.slot, 0::bigint, a.stream_id, a.version, NULL::uuid, NULL, NULL::smallint, NULL::jsonb,
       NULL::jsonb, NULL::timestamptz, NULL::timestamptz
"""
_STREAM: Final = f"""
(SELECT {_EVENT} FROM eventstore.events
  WHERE stream_id = $1 AND version > $2 ORDER BY version LIMIT $3)
 UNION ALL ({_ARCHIVED} FROM eventstore.archived_streams a
             WHERE a.stream_id = $1 AND a.version > $2)
"""
# The lateral join takes from the index only what is above a stream's version.
_STREAMS: Final = f"""
(SELECT e.* FROM unnest($1::uuid[], $3::integer[]) AS w(stream_id, after)
 CROSS JOIN LATERAL (
    SELECT slot, slot_seq, stream_id, version, event_id, event_type, schema_version, data, metadata,
           occurred_at, recorded_at
      FROM eventstore.events
     WHERE stream_id = w.stream_id AND version > w.after
       AND slot_seq <= ($2::bigint[])[slot + 1]
     ORDER BY version) e)
 UNION ALL ({_ARCHIVED} FROM unnest($1::uuid[], $3::integer[]) AS w(stream_id, after)
              JOIN eventstore.archived_streams a
                ON a.stream_id = w.stream_id AND a.version > w.after)
"""
_HEADS: Final = "SELECT slot, head FROM eventstore.slots"
_PUBLISHED: Final = "SELECT slot, published_seq FROM eventstore.relay_positions"
# The first above a number, which is the next one, unless that is archived.
_OLDEST: Final = """
SELECT extract(epoch FROM clock_timestamp() - min(e.recorded_at))::float8
  FROM unnest($1::smallint[], $2::bigint[]) AS p(slot, after)
 CROSS JOIN LATERAL (SELECT recorded_at FROM eventstore.events
                      WHERE slot = p.slot AND slot_seq > p.after ORDER BY slot_seq LIMIT 1) e
"""
_SLOT: Final = f"""
SELECT {_EVENT} FROM eventstore.events
 WHERE slot = $1 AND slot_seq > $2 ORDER BY slot_seq LIMIT $3
"""
# The join with `slots` keeps an idle poll from descending 64 times into the index of the log.
_LOG: Final = """
SELECT e.* FROM unnest($1::smallint[], $2::bigint[]) AS p(slot, after)
  JOIN eventstore.slots s ON s.slot = p.slot AND s.head > p.after
 CROSS JOIN LATERAL (
    SELECT slot, slot_seq, stream_id, version, event_id, event_type, schema_version, data, metadata,
           occurred_at, recorded_at
      FROM eventstore.events
     WHERE slot = p.slot AND slot_seq > p.after ORDER BY slot_seq LIMIT $3) e
"""
_OUTCOMES: Final = """
SELECT command_id, request_hash, stream_id, version, event_ids, error_code, error_message, decided_at
  FROM eventstore.commands WHERE command_id = ANY ($1)
"""
# What is archived of a stream begins with its first version.
_FIRST_STREAMS: Final = """
(SELECT stream_id FROM eventstore.events WHERE version = 1 ORDER BY stream_id LIMIT $1)
 UNION ALL (SELECT stream_id FROM eventstore.archived_streams ORDER BY stream_id LIMIT $1)
 ORDER BY stream_id LIMIT $1
"""
_NEXT_STREAMS: Final = """
(SELECT stream_id FROM eventstore.events
  WHERE version = 1 AND stream_id > $2 ORDER BY stream_id LIMIT $1)
 UNION ALL (SELECT stream_id FROM eventstore.archived_streams
             WHERE stream_id > $2 ORDER BY stream_id LIMIT $1)
 ORDER BY stream_id LIMIT $1
"""
_UNSETTLED: Final = """
SELECT slot FROM eventstore.slots WHERE slot = ANY ($1) AND last_recorded_at <= $2 ORDER BY slot
"""
_SETTLE: Final = "SELECT eventstore.settle($1, $2)"
_NO_COLUMNS: Final[tuple[tuple[object, ...], ...]] = ((),) * 9


class PostgresEventStore:
    """`EventStore` over an asyncpg pool whose login may call `eventstore.append` and read.

    Every call ends within `timeout_s`; after that, or when the connection breaks, it raises
    `StoreUnavailable`, and the outcome of an append is unknown.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        archive: Archive | None = None,
        *,
        timeout_s: float = 30.0,
        inline: InlineHook | None = None,
    ) -> None:
        """Use `pool`, which stays the caller's to close, and call `inline` in every append. Reads
        that meet archived events go to `archive`, and raise `ArchiveUnreadable` without one.
        """
        self._pool = pool
        self._through = ReadThrough(self._fetch, archive)
        self._inline = inline
        self._timeout_s = timeout_s

    async def append(
        self, stream_id: UUID, events: Sequence[AccountEvent], expected_version: int
    ) -> None:
        """See `EventStore.append`."""
        if not events:
            return
        check_numbering(events, expected_version)
        slot = slot_of(stream_id)
        await self._append(
            {slot: None},
            {stream_id: expected_version},
            [new_event(slot, stream_id, event, "{}") for event in events],
            (),
        )

    async def append_batch(
        self,
        expected_heads: Mapping[int, int],
        events: Sequence[NewEvent],
        outcomes: Sequence[CommandOutcome],
    ) -> None:
        """See `EventStore.append_batch`."""
        await self._append(expected_heads, {}, events, outcomes)

    async def _append(
        self,
        heads: Mapping[int, int | None],
        versions: Mapping[UUID, int],
        events: Sequence[NewEvent],
        outcomes: Sequence[CommandOutcome],
    ) -> None:
        event_columns = list(zip(*events, strict=True)) or _NO_COLUMNS
        slots, streams, numbers, ids, types, schemas, data, metadata, occurred = event_columns
        outcome_columns = list(zip(*outcomes, strict=True)) or _NO_COLUMNS[:8]
        commands, hashes, accounts, seen, _, codes, messages, decided = outcome_columns
        arguments = (
            *(tuple(heads), tuple(heads.values())),
            *(tuple(versions), tuple(versions.values())),
            *(slots, streams, numbers, ids, types, schemas, data, metadata, occurred),
            *(commands, hashes, accounts, seen),
            [_uuid_array(outcome.event_ids) for outcome in outcomes],
            *(codes, messages, decided),
        )
        if self._inline is None or not events:
            await _uncancelled(self._execute(_APPEND, *arguments))
        else:
            await _uncancelled(self._append_inline(self._inline, events, arguments))

    async def _append_inline(
        self, inline: InlineHook, events: Sequence[NewEvent], arguments: Sequence[object]
    ) -> None:
        async with self._connection() as connection, connection.transaction():
            rows = await connection.fetch(_APPEND_TELLING, *arguments)
            slots = {slot: (head, recorded_at) for slot, head, recorded_at in rows}
            await inline(connection, recorded_events(events, slots))

    async def load(self, stream_id: UUID, after_version: int = 0) -> list[AccountEvent]:
        """See `EventStore.load`."""
        after = {stream_id: after_version}
        events = await self._through.streams(after, None, _STREAM, stream_id, after_version, None)
        return [event.decode() for event in events]

    async def history(
        self, stream_id: UUID, after_version: int = 0, limit: int | None = None
    ) -> list[RecordedEvent]:
        """See `EventStore.history`."""
        place = (stream_id, after_version, limit)
        events = await self._through.streams({stream_id: after_version}, None, _STREAM, *place)
        return events[:limit]  # what is archived comes in whole

    async def heads(self) -> dict[int, int]:
        """See `EventStore.heads`."""
        async with self._connection() as connection:
            return dict(await connection.fetch(_HEADS))

    async def published(self) -> dict[int, int]:
        """See `EventStore.published`."""
        async with self._connection() as connection:
            return dict(await connection.fetch(_PUBLISHED))

    async def oldest_age_s(self, after: Mapping[int, int]) -> float:
        """See `EventStore.oldest_age_s`."""
        async with self._connection() as connection:
            age = await connection.fetchval(_OLDEST, tuple(after), tuple(after.values()))
            return max(0.0, age or 0.0)

    async def read_slot(self, slot: int, after: int, limit: int) -> list[RecordedEvent]:
        """See `EventStore.read_slot`."""
        return await self._through.log({slot: after}, limit, _SLOT, slot, after, limit)

    async def read_log(self, after: Mapping[int, int], limit: int) -> list[RecordedEvent]:
        """See `EventStore.read_log`."""
        places = (tuple(after), tuple(after.values()))
        return await self._through.log(after, limit, _LOG, *places, limit)

    async def read_streams(
        self,
        stream_ids: Sequence[UUID],
        up_to: Mapping[int, int],
        after: Mapping[UUID, int] | None = None,
    ) -> list[RecordedEvent]:
        """See `EventStore.read_streams`."""
        limits = [up_to.get(slot, 0) for slot in range(64)]
        versions = after or {}
        wanted = {one: versions.get(one, 0) for one in sorted(set(stream_ids))}
        places = (tuple(wanted), limits, tuple(wanted.values()))
        return await self._through.streams(wanted, up_to, _STREAMS, *places)

    async def streams(self, after: UUID | None, limit: int) -> list[UUID]:
        """See `EventStore.streams`."""
        query = (_FIRST_STREAMS, limit) if after is None else (_NEXT_STREAMS, limit, after)
        async with self._connection() as connection:
            return [row["stream_id"] for row in await connection.fetch(*query)]

    async def settle(self, moment: datetime, slots: Collection[int]) -> None:
        """See `EventStore.settle`. Slots are settled one by one, so that nobody who appends to one
        waits for another; those that have recorded something later cost no lock and no write.
        """
        async with self._connection() as connection:
            for (slot,) in await connection.fetch(_UNSETTLED, slots, moment):
                now = await connection.fetchval(_SETTLE, slot, moment)
                if now is not None:
                    raise MomentNotPast(moment, now)

    async def outcomes(self, command_ids: Sequence[UUID]) -> dict[UUID, CommandOutcome]:
        """See `EventStore.outcomes`."""
        async with self._connection() as connection:
            rows = await connection.fetch(_OUTCOMES, command_ids)
        found = [CommandOutcome._make(row) for row in rows]
        return {row.command_id: row._replace(event_ids=tuple(row.event_ids)) for row in found}

    async def _execute(self, query: str, *arguments: object) -> None:
        async with self._connection() as connection:
            await connection.execute(query, *arguments)

    async def _fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        async with self._connection() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(query, *arguments)
            return rows

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            async with lent(self._pool, self._timeout_s) as connection:
                yield connection
        except FAILURES as error:
            translate(error)


async def _uncancelled(append: Coroutine[None, None, None]) -> None:
    """Run an append to its end even when the caller is cancelled: a commit that is cut short
    leaves its outcome unknown. The wait is bounded by the store's time limit.
    """
    task = asyncio.ensure_future(append)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _uuid_array(ids: Sequence[UUID]) -> str:
    return "{" + ",".join(map(str, ids)) + "}"
