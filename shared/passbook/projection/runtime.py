"""The runtime of every projection: only the next number, all of them, in one transaction.

Kafka delivers at least once and not always everything: a group's offsets can be lost or reset, a
record can be read twice, two instances can work on one partition for a while. None of that reaches
a projection. A number at or below the position is a duplicate and is skipped; a number further on
means that something is missing, and it is fetched from the event store; and the transaction that
changes the rows moves the position from where this instance started, or changes nothing.

So any start offset is right, nothing has to happen in a rebalance, and Kafka's own offsets are
committed only as a start position and for the tools that measure lag.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog

from passbook.domain.slots import SLOT_COUNT, partition_of
from passbook.eventstore.errors import StoreUnavailable
from passbook.eventstore.pool import FAILURES, lent, said
from passbook.eventstore.store import EventStore
from passbook.logs import ids
from passbook.messaging.consumer import Record
from passbook.messaging.dead_letters import DeadLetterOffice
from passbook.messaging.events import ForeignRecord, PublishedEvent, decode
from passbook.messaging.group_consumer import Consumer, next_offsets
from passbook.projection.applying import Applier
from passbook.projection.parking import MISFITS
from passbook.projection.positions import Fenced
from passbook.projection.protocol import Projection, ProjectionStopped
from passbook.projection.recorded import from_recorded
from passbook.telemetry import (
    PROJECTION_APPLIED,
    PROJECTION_DUPLICATES,
    PROJECTION_FENCED,
    PROJECTION_GAPS,
    PROJECTION_LAG,
    PROJECTION_LAG_SECONDS,
)
from passbook.tracing.switch import ending

if TYPE_CHECKING:
    from passbook.tracing.batches import BatchTrace, BatchTraces

_POLL_S: Final = 0.5
_TEND_EVERY_S: Final = 2.0
_READ_LIMIT: Final = 1000
_FENCED_ATTEMPTS: Final = 10
_APPLY_TIMEOUT_S: Final = 60.0

log = structlog.get_logger()


class ProjectionRuntime:
    """Keeps one projection up to date with the slots of the partitions that Kafka assigns."""

    def __init__(  # noqa: PLR0913 - the wiring hands over every collaborator
        self,
        projection: Projection,
        pool: asyncpg.Pool,
        store: EventStore,
        consumer: Consumer,
        office: DeadLetterOffice,
        partitions: int,
        ring: Callable[[], None] = lambda: None,
        traces: "BatchTraces[Record] | None" = None,
    ) -> None:
        """Take the collaborators. `pool` is on the database of the read model; `ring` tells whoever
        waits for the rows; `traces` follows events, if anybody does.
        """
        self._projection = projection
        self._applier = Applier(projection)
        self._pool = pool
        self._store = store
        self._consumer = consumer
        self._office = office
        self._partitions = partitions
        self._ring = ring
        self._traces = traces
        self._at: dict[int, int] = {}
        self._tended_at = 0.0
        self._tended: dict[int, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Apply events until `stop` is set.

        Raises:
            StoreUnavailable, ConsumerLost, PublishFailed: nothing is lost; run anew.
            ProjectionStopped: going on would lose something; the message says what to do.
        """
        try:
            await self._run(stop)
        finally:
            # What is left to do is told by whoever has the partitions now.
            PROJECTION_LAG.labels(self._projection.name).set(0)
            PROJECTION_LAG_SECONDS.labels(self._projection.name).set(0)

    async def _run(self, stop: asyncio.Event) -> None:
        await self._reload()
        while not stop.is_set():
            batches = await self._consumer.poll(_POLL_S)
            if batches:
                with ending(self._follow(batches)):
                    await self._take(batches)
            await self._consumer.processed(next_offsets(batches))
            if time.monotonic() - self._tended_at > _TEND_EVERY_S:
                await self._tend()
        await self._consumer.flush()

    def _follow(self, batches: Mapping[int, Sequence[Record]]) -> "BatchTrace[Record] | None":
        if self._traces is None:
            return None
        return self._traces.begin(list(chain.from_iterable(batches.values())))

    async def _take(self, batches: Mapping[int, Sequence[Record]]) -> None:
        by_slot: dict[int, list[PublishedEvent]] = defaultdict(list)
        for records in batches.values():
            for record in records:
                try:
                    event = decode(record.key, record.value, record.headers)
                except ForeignRecord as error:
                    log.warning("record.foreign", error=str(error), **_place(record))
                    await self._office.send(record, str(error))
                else:
                    by_slot[event.slot].append(event)
        await self.apply(by_slot)

    async def apply(self, by_slot: Mapping[int, Sequence[PublishedEvent]]) -> None:
        """Apply what is new in `by_slot` (slot → events in the order they came).

        Raises:
            StoreUnavailable, ProjectionStopped: see `run`.
        """
        for slot, arrived in by_slot.items():
            await self._approach(slot, arrived)
        for _ in range(_FENCED_ATTEMPTS):
            events: list[PublishedEvent] = []
            reached: dict[int, int] = {}
            for slot, arrived in by_slot.items():
                fresh = await self._fresh(slot, arrived)
                if fresh:
                    reached[slot] = fresh[-1].slot_seq
                    events += fresh
            if not events:
                return
            try:
                await self._commit(events, reached)
            except Fenced:
                PROJECTION_FENCED.labels(self._projection.name).inc()
                log.info("projection.fenced", projection=self._projection.name)
                await self._reload()
            else:
                self._at |= reached
                self._ring()
                PROJECTION_APPLIED.labels(self._projection.name).inc(len(events))
                return
        message = "another instance keeps overtaking this one"
        raise StoreUnavailable(message)

    async def _approach(self, slot: int, arrived: Sequence[PublishedEvent]) -> None:
        """Work off a long gap before a slot's arrivals in portions, each a transaction: what is held
        in memory is bounded by batches, however much is missing.
        """
        while arrived and arrived[0].slot_seq - self._at[slot] > _READ_LIMIT:
            after = self._at[slot]
            await self.apply({slot: await self._fetch(slot, after, after + _READ_LIMIT)})

    async def _fresh(self, slot: int, arrived: Sequence[PublishedEvent]) -> list[PublishedEvent]:
        """Return the events of a slot from its position on, without duplicates or gaps."""
        at = self._at[slot]
        fresh: list[PublishedEvent] = []
        duplicates = 0
        for event in arrived:
            if event.slot_seq == at + 1:
                fresh.append(event)
                at += 1
            elif event.slot_seq <= at:
                duplicates += 1
            else:
                missing = await self._fetch(slot, at, event.slot_seq - 1)
                fresh += missing
                fresh.append(event)
                at = event.slot_seq
        if duplicates:
            PROJECTION_DUPLICATES.labels(self._projection.name).inc(duplicates)
        return fresh

    async def _fetch(self, slot: int, after: int, up_to: int) -> list[PublishedEvent]:
        """Read from the event store what Kafka did not deliver."""
        log.warning(
            "projection.gap",
            projection=self._projection.name,
            slot=slot,
            expected=after + 1,
            found=up_to + 1,
        )
        PROJECTION_GAPS.labels(self._projection.name).inc(up_to - after)
        events: list[PublishedEvent] = []
        while after < up_to:
            rows = await self._store.read_slot(slot, after, min(_READ_LIMIT, up_to - after))
            if not rows:
                message = (
                    f"slot {slot}: Kafka has number {up_to + 1}, the event store ends at {after}"
                )
                raise ProjectionStopped(message)
            events += [from_recorded(row) for row in rows]
            after = rows[-1].slot_seq
        return events

    async def _commit(self, events: Sequence[PublishedEvent], reached: Mapping[int, int]) -> None:
        expected = {slot: self._at[slot] for slot in reached}
        try:
            async with lent(self._pool, _APPLY_TIMEOUT_S) as connection:
                await self._applier.apply(connection, events, expected, reached)
        except MISFITS:
            raise
        except FAILURES as error:
            raise StoreUnavailable(said(error)) from error

    async def _reload(self) -> None:
        try:
            async with lent(self._pool, _APPLY_TIMEOUT_S) as connection:
                self._at = await self._applier.load(connection)
        except FAILURES as error:
            raise StoreUnavailable(said(error)) from error

    async def _tend(self) -> None:
        """Every two seconds: look where the rows are, measure the lag, and heal what stands still.

        Neither is needed while Kafka delivers, so an event store that does not answer is no reason
        to stop applying.
        """
        self._tended_at = time.monotonic()
        partitions = self._consumer.assigned()
        mine = [
            slot for slot in range(SLOT_COUNT) if partition_of(slot, self._partitions) in partitions
        ]
        try:
            # A database that was restored has older rows; and whoever was parked may be healed.
            await self._reload()
            heads = await self._store.heads()
            published = await self._store.published()
            behind = {slot: self._at[slot] for slot in mine if self._at[slot] < heads[slot]}
            age_s = await self._store.oldest_age_s(behind) if behind else 0.0
        except StoreUnavailable as error:
            log.warning("service.unavailable", error=str(error), retry_s=_TEND_EVERY_S)
            return
        PROJECTION_LAG.labels(self._projection.name).set(
            sum(heads[slot] - at for slot, at in behind.items())
        )
        PROJECTION_LAG_SECONDS.labels(self._projection.name).set(age_s)
        still = [slot for slot in mine if self._tended.get(slot) == self._at[slot]]
        self._tended = dict(self._at)
        await self._heal({slot: published.get(slot, 0) for slot in still})

    async def _heal(self, published: Mapping[int, int]) -> None:
        """Look after slots that have not moved although the relay has published more: Kafka will
        never deliver what lies before the offset at which this group started.
        """
        behind = {slot for slot, number in published.items() if self._at[slot] < number}
        if not behind:
            return
        # Asked once for all of them: the answer waits behind a fetch that waits for records.
        caught_up = await self._consumer.caught_up(
            {partition_of(slot, self._partitions) for slot in behind}
        )
        for slot, number in published.items():
            while self._at[slot] < number and partition_of(slot, self._partitions) in caught_up:
                up_to = min(number, self._at[slot] + _READ_LIMIT)
                await self.apply({slot: await self._fetch(slot, self._at[slot], up_to)})


def _place(record: Record) -> dict[str, object]:
    sent = dict(record.headers)
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    return place | ids(sent.get("ce_commandid"), sent.get("ce_correlationid"))
