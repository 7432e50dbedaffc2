"""The heart of the outbox relay: read what is above the position, publish, advance, again.

When it gets a group, the position of a slot is what Kafka's log says, not what the database says:

    tail not in the store            the store was restored to the past; the slot is halted, because
                                     publishing would give numbers out a second time
    tail behind the stored hint      Kafka lost acknowledged records; they are published again
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Final

import structlog

from passbook.domain.slots import partition_of
from passbook.eventstore.doorbell import DoorbellListener
from passbook.eventstore.errors import StoreUnavailable
from passbook.eventstore.store import EventStore, RecordedEvent
from passbook.messaging.events import encode_headers
from passbook.messaging.producer import Producer
from passbook.messaging.producer import Record as Outgoing
from passbook.messaging.topics import Topics
from passbook.recovery.ahead import slots_ahead
from passbook.telemetry import (
    RELAY_BACKLOG,
    RELAY_BACKLOG_SECONDS,
    RELAY_HALTED,
    RELAY_PUBLISHED,
    RELAY_REPUBLISHED,
)
from passbook.tracing.switch import ending
from services.outbox_relay.leadership import Leadership, slots_of
from services.outbox_relay.positions import RelayPositions

if TYPE_CHECKING:
    from passbook.tracing.batches import BatchTrace, BatchTraces

_READ_PER_SLOT: Final = 100
_SHORTEST_WAIT_S: Final = 0.025
_LONGEST_WAIT_S: Final = 0.25
_TEND_EVERY_S: Final = 1.0
_MEASURE_EVERY_S: Final = 1.0
_LOOK_AGAIN_S: Final = 10.0

log = structlog.get_logger()


class OutboxRelay:
    """Publishes the log of the groups that it leads."""

    def __init__(  # noqa: PLR0913 - the wiring hands over every collaborator
        self,
        store: EventStore,
        positions: RelayPositions,
        producer: Producer,
        topics: Topics,
        leadership: Leadership,
        doorbell: DoorbellListener,
        groups: int = 1,
        traces: "BatchTraces[Outgoing] | None" = None,
    ) -> None:
        """Take the collaborators; nothing is read before `run`. The slots are dealt into `groups`;
        `traces` follows events, if anybody does.
        """
        self._store = store
        self._positions = positions
        self._producer = producer
        self._topics = topics
        self._leadership = leadership
        self._doorbell = doorbell
        self._of = groups
        self._groups: frozenset[int] = frozenset()
        self._traces = traces
        self._published: dict[int, int] = {}
        self._halted: dict[int, int] = {}
        self._dirty: dict[int, int] = {}
        self._tended_at = 0.0
        self._looked_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop` is set.

        Raises:
            StoreUnavailable, PublishFailed, ConsumerLost: start anew, from the tail.
        """
        try:
            await self._run(stop)
        finally:
            RELAY_HALTED.set(0)

    async def measure(self) -> None:
        """Tell once a second what is not published, until cancelled. Beside `run`, which waits for as
        long as Kafka acknowledges nothing; that is when somebody has to be told.
        """
        try:
            while True:
                with suppress(StoreUnavailable):  # `run` meets it, too
                    await self._measure()
                await asyncio.sleep(_MEASURE_EVERY_S)
        finally:
            # What is waiting is told by whoever leads now, and by nobody else.
            RELAY_BACKLOG.set(0)
            RELAY_BACKLOG_SECONDS.set(0)

    async def _measure(self) -> None:
        heads = await self._store.heads()
        behind = {slot: seq for slot, seq in self._published.items() if seq < heads[slot]}
        RELAY_BACKLOG.set(sum(heads[slot] - seq for slot, seq in behind.items()))
        RELAY_BACKLOG_SECONDS.set(await self._store.oldest_age_s(behind) if behind else 0)

    async def _run(self, stop: asyncio.Event) -> None:
        wait_s = _SHORTEST_WAIT_S
        while not stop.is_set():
            if self._leadership.groups != self._groups:
                await self._follow(self._leadership.groups)
            if not self._groups:
                await self._leadership.moved(_LONGEST_WAIT_S)
                continue
            events = await self._store.read_log(self._published, _READ_PER_SLOT)
            if events:
                await self._publish(events)
            if time.monotonic() - self._tended_at > _TEND_EVERY_S:
                await self._tend()
            if len(events) >= _READ_PER_SLOT:
                continue  # there may be more; fewer are all there were, and newer ones ring
            if events:
                wait_s = _SHORTEST_WAIT_S
            if not await self._doorbell.wait(wait_s):
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
        await self._tend()

    async def _follow(self, groups: frozenset[int]) -> None:
        """Publish these groups from now on. What was published of others is written down before they
        are somebody else's, who need not read so much then.
        """
        gone, new = self._groups - groups, groups - self._groups
        if gone:
            await self._tend()
            for slot in slots_of(gone, self._of):
                self._published.pop(slot, None)
                self._halted.pop(slot, None)
            self._groups -= gone
            self._leadership.release(gone)
        if new:
            await self._find_position(slots_of(new, self._of))
            self._groups |= new
        await self._tend()

    async def _find_position(self, slots: Sequence[int]) -> None:
        hints = await self._positions.hints()
        partitions = {partition_of(slot, self._topics.partitions) for slot in slots}
        tails = await self._positions.tails(hints, partitions)
        mine = {slot: tails[slot] for slot in slots}
        for slot, tail, head in await slots_ahead(self._store, mine):
            self._halted[slot] = tail
            log.error("relay.halted", slot=slot, tail=tail, head=head)
        lost: dict[int, int] = {}
        for slot in slots:
            if slot in self._halted:
                continue
            tail = tails[slot].slot_seq
            published = hints[slot].published_seq if slot in hints else 0
            if tail < published:
                RELAY_REPUBLISHED.inc(published - tail)
                log.error("relay.log_lost", slot=slot, published=published, tail=tail)
                lost[partition_of(slot, self._topics.partitions)] = -1
            self._published[slot] = tail
        # Before anything is published: a hint from before the loss could fit what comes now.
        await self._positions.save(self._halted | self._published, lost, self._halted)

    async def _publish(self, events: list[RecordedEvent]) -> None:
        partitions = self._topics.partitions
        records: dict[int, list[Outgoing]] = defaultdict(list)
        published: dict[int, int] = {}
        for event in events:
            slot, slot_seq = event.slot, event.slot_seq
            key = str(event.stream_id).encode()
            records[partition_of(slot, partitions)].append(
                (
                    key,
                    event.data.encode(),
                    encode_headers(
                        slot,
                        slot_seq,
                        key,
                        event.version,
                        event.event_id,
                        event.event_type,
                        event.schema_version,
                        event.metadata,
                        event.occurred_at,
                        event.recorded_at,
                    ),
                )
            )
            published[slot] = slot_seq
        with ending(self._traced(records)):
            self._dirty |= await self._producer.publish(self._topics.events, records)
        self._published |= published
        RELAY_PUBLISHED.inc(len(events))

    def _traced(self, records: Mapping[int, Sequence[Outgoing]]) -> "BatchTrace[Outgoing] | None":
        if self._traces is None:
            return None
        return self._traces.begin(list(chain.from_iterable(records.values())))

    async def _tend(self) -> None:
        """Once a second: store the hints, look at halted slots again."""
        self._tended_at = time.monotonic()
        if self._dirty or self._halted:
            # The tail of a halted slot, too: it is what keeps the slot halted after a restart.
            known = self._halted | self._published
            await self._positions.save(known, self._dirty, self._halted)
            self._dirty = {}
        if self._halted:
            await self._look_again(await self._store.heads())
        RELAY_HALTED.set(len(self._halted))

    async def _look_again(self, heads: Mapping[int, int]) -> None:
        """Go on with halted slots whose events are back. Not every second: where the store has got
        others instead, a whole partition is read to see that.
        """
        back = [slot for slot, tail in self._halted.items() if heads[slot] >= tail]
        if back and time.monotonic() - self._looked_at > _LOOK_AGAIN_S:
            for slot in back:
                del self._halted[slot]
            await self._find_position(back)
            self._looked_at = time.monotonic()  # of its end: it takes long where much is read
