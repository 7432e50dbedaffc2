"""Bringing back what a restored event store has lost from the topics that have kept it.

One transaction, in which all slots are locked: nothing is decided meanwhile, and events and outcomes
are there together or not at all. A command whose event were back and whose outcome were not would be
decided a second time when it is delivered again.

    1. events that the topic has beyond the head of their slot, under their own numbers and times
    2. outcomes that are published and not stored; of an accepted command only if its events are there
    3. an outcome for each event of 1 whose own was never published
    4. the group of the command service goes back, so that what is still undecided is decided
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from passbook.eventstore.errors import EventStoreError
from passbook.eventstore.store import CommandOutcome, RecordedEvent
from passbook.messaging.commands import decode as decode_command
from passbook.messaging.consumer import Record
from passbook.messaging.events import ForeignRecord, decode
from passbook.messaging.log_tail import Hint, agreed, proves
from passbook.messaging.security import KafkaServers
from passbook.messaging.topics import Topics
from passbook.recovery.reading import Reach, group_goes_back, records_since
from passbook.recovery.rows import command_of, event_row, outcome_row

_EARLIER: Final = timedelta(hours=1)
_TIMEOUT_S: Final = 3600.0
_PATIENCE: Final = "SET LOCAL idle_in_transaction_session_timeout = 0"
_LOCK: Final = "SELECT slot, head FROM eventstore.slots ORDER BY slot FOR UPDATE"
_NEWEST: Final = "SELECT max(decided_at) FROM eventstore.commands"
_IDS: Final = """
SELECT e.slot, e.slot_seq, e.event_id::text
  FROM unnest($1::smallint[], $2::bigint[]) AS w(slot, slot_seq) JOIN eventstore.events e
 USING (slot, slot_seq)
"""
_EVENTS: Final = """
SELECT eventstore.restore_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""
_HEADS: Final = """
UPDATE eventstore.slots s SET head = n.head,
       last_recorded_at = greatest(s.last_recorded_at, n.recorded_at)
  FROM unnest($1::smallint[], $2::bigint[], $3::timestamptz[]) AS n(slot, head, recorded_at)
 WHERE s.slot = n.slot
"""
_DECIDED: Final = "SELECT command_id FROM eventstore.commands WHERE command_id = ANY ($1)"
_OUTCOMES: Final = """
INSERT INTO eventstore.commands (command_id, request_hash, stream_id, version, event_ids,
                                 error_code, error_message, decided_at)
SELECT c.command_id, c.request_hash, c.stream_id, c.version, c.event_ids::uuid[],
       c.error_code, c.error_message, c.decided_at
  FROM unnest($1::uuid[], $2::bytea[], $3::uuid[], $4::integer[], $5::text[], $6::text[],
              $7::text[], $8::timestamptz[])
       AS c(command_id, request_hash, stream_id, version, event_ids, error_code, error_message,
            decided_at)
"""


class Forked(EventStoreError):
    """The store went on after it was restored: it has other events than Kafka under some numbers."""


@dataclass(slots=True)
class Replenished:
    """What came back, or would. `undecided`: commands that were answered as accepted and whose events
    never reached Kafka; they are decided again.
    """

    slots: int = 0
    events: int = 0
    outcomes: int = 0
    undecided: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, object]:
        """Return it as a document."""
        return asdict(self)


class Place(NamedTuple):
    """Where the topics are, and the group of the command service."""

    kafka: str | KafkaServers
    topics: Topics
    group: str


async def replenish(
    connection: asyncpg.Connection,
    place: Place,
    hints: Mapping[int, Hint],
    *,
    check: bool = False,
    on_progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Replenished:
    """Bring back what Kafka has and the store has not, and return it; with `check` change nothing.

    `connection` is of the login that owns the event store.

    Raises:
        Forked: there is nothing to be brought back to; see the runbook.
        ConsumerLost: Kafka does not answer, or the group has members: stop the command services.
    """
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(_PATIENCE)
        found = await _Replenishing(connection, place, on_progress).run(hints, check=check)
    except BaseException:
        await transaction.rollback()
        raise
    await (transaction.rollback() if check else transaction.commit())
    return found


class _Replenishing:
    def __init__(
        self, connection: asyncpg.Connection, place: Place, on_progress: Callable[[int, int], None]
    ) -> None:
        self._connection = connection
        self._place = place
        self._on_progress = on_progress
        self._at: dict[int, int] = {}
        self._caused: dict[UUID, RecordedEvent] = {}
        self._found = Replenished()
        self._slots: set[int] = set()
        self._undecided: set[str] = set()

    async def run(self, hints: Mapping[int, Hint], *, check: bool) -> Replenished:
        kafka, topics, group = self._place
        self._at = dict(await self._connection.fetch(_LOCK))
        newest: datetime | None = await self._connection.fetchval(_NEWEST)
        since = None if newest is None else newest - _EARLIER
        async for records in records_since(kafka, topics, _after(hints, topics), self._on_progress):
            await self._take_events(records)
        async for records in records_since(kafka, topics, Reach(topics.outcomes, since=since)):
            await self._take_outcomes([row for one in records if (row := outcome_row(one))])
        if self._caused:
            await self._find_commands(since)
        self._found.slots = len(self._slots)
        self._found.undecided = sorted(self._undecided)
        if not check and (self._found.events or self._found.outcomes or self._found.undecided):
            # A command has its sender's time, and may have waited for hours when it was decided.
            await group_goes_back(kafka, topics, group, None if self._undecided else since)
        return self._found

    async def _find_commands(self, since: datetime | None) -> None:
        kafka, topics, _ = self._place
        for moment in dict.fromkeys((since, None)):
            if self._caused:
                reach = Reach(topics.commands, since=moment)
                async for records in records_since(kafka, topics, reach):
                    await self._take_commands(records)
        left = dict(self._caused)
        await self._take_outcomes([_outcome(one, row, b"") for one, row in left.items()])

    async def _take_events(self, records: list[Record]) -> None:
        fresh: list[RecordedEvent] = []
        old: dict[tuple[int, int], str] = {}
        for record in records:
            try:
                event = decode(record.key, record.value, record.headers)
            except ForeignRecord:
                continue
            at = self._at[event.slot]
            if event.slot_seq <= at:
                old[event.slot, event.slot_seq] = event.event_id
            elif event.slot_seq == at + 1:
                self._at[event.slot] += 1
                fresh.append(event_row(event, record))
            else:
                message = f"slot {event.slot}: Kafka has {event.slot_seq}, and nothing after {at}"
                raise Forked(message)
        if fresh:
            await self._store_events(fresh)
        await self._compare(old)

    async def _store_events(self, fresh: list[RecordedEvent]) -> None:
        await self._connection.execute(_EVENTS, *zip(*fresh, strict=True), timeout=_TIMEOUT_S)
        moved = {row.slot: (row.slot, row.slot_seq, row.recorded_at) for row in fresh}
        await self._connection.execute(_HEADS, *zip(*moved.values(), strict=True))
        self._found.events += len(fresh)
        self._slots |= moved.keys()
        self._caused |= {
            command_id: row for row in fresh if (command_id := command_of(row)) is not None
        }

    async def _compare(self, old: Mapping[tuple[int, int], str]) -> None:
        if not old:
            return
        columns = zip(*old, strict=True)
        for slot, slot_seq, event_id in await self._connection.fetch(_IDS, *columns):
            if old[slot, slot_seq] != event_id:
                message = (
                    f"slot {slot} number {slot_seq}: Kafka has event {old[slot, slot_seq]}, the "
                    f"store {event_id}: it went on after it was restored; see the runbook"
                )
                raise Forked(message)

    async def _take_outcomes(self, outcomes: list[CommandOutcome]) -> None:
        by_id = {one.command_id: one for one in outcomes}
        for row in await self._connection.fetch(_DECIDED, list(by_id)):
            del by_id[row["command_id"]]
            self._caused.pop(row["command_id"], None)
        rows = []
        for command_id, one in by_id.items():
            # What is not stored had no event that is: if there is one, it has just come back.
            if one.event_ids and command_id not in self._caused:
                self._undecided.add(str(command_id))
                continue
            self._caused.pop(command_id, None)
            rows.append((*one[:4], _array(one.event_ids), *one[5:]))
        if rows:
            await self._connection.execute(_OUTCOMES, *zip(*rows, strict=True), timeout=_TIMEOUT_S)
        self._found.outcomes += len(rows)

    async def _take_commands(self, records: list[Record]) -> None:
        """Make the outcomes that were never published, from the commands."""
        made = []
        for record in records:
            command = decode_command(record.key, record.value, record.headers)
            if command.command_id in self._caused:
                row = self._caused[command.command_id]
                made.append(_outcome(command.command_id, row, command.request_hash))
        await self._take_outcomes(made)


def _after(hints: Mapping[int, Hint], topics: Topics) -> Reach:
    """Where to read the events from: the relay's hints, where they are of this topic."""
    known = {part: agreed(hints, part, topics.partitions) for part in range(topics.partitions)}

    def proven(record: Record) -> bool:
        return proves(record, *known[record.partition])

    offsets = {part: offset for part, (offset, _) in known.items()}
    return Reach(topics.events, offsets=offsets, proven=proven)


def _outcome(command_id: UUID, row: RecordedEvent, request_hash: bytes) -> CommandOutcome:
    """The outcome behind an event. Without the hash, the command is a conflict if it comes again."""
    return CommandOutcome(
        command_id,
        request_hash,
        row.stream_id,
        row.version,
        (row.event_id,),
        None,
        None,
        row.occurred_at,
    )


def _array(ids: tuple[UUID, ...]) -> str:
    return "{" + ",".join(map(str, ids)) + "}"
