"""The heart of the command service: poll, decide, append, answer; the next poll is decided while
the last one is appended.

Deciding works on accounts in memory. An append names, for every slot it touches, the head those
accounts were read at; PostgreSQL compares, so a stale memory, a second owner of the partition or a
direct writer costs a refused append and never a wrong decision. What is refused is decided again, one
slot at a time and with pauses, so that a burst of another writer does not matter.

Kafka's offsets are committed last. Whatever fails before that is delivered again, and a command
that was decided already gets its stored outcome.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID

import orjson
import structlog

from passbook.domain.commands import execute
from passbook.domain.errors import AccountError
from passbook.domain.slots import slot_of
from passbook.domain.stamps import Stamp
from passbook.eventstore.cache import AccountCache
from passbook.eventstore.errors import DuplicateCommand, SlotMoved, StoreUnavailable
from passbook.eventstore.ids import batch_stamp
from passbook.eventstore.snapshots import Snapshot
from passbook.eventstore.store import CommandOutcome, EventStore, NewEvent, new_event
from passbook.messaging.commands import BadCommand, CommandMessage
from passbook.messaging.consumer import Record
from passbook.messaging.group_consumer import Consumer, next_offsets
from passbook.messaging.outcomes import CONFLICT, CONFLICT_MESSAGE
from passbook.service import PartStopped
from passbook.telemetry import APPEND_RETRIES, APPEND_SECONDS, COMMANDS_DUPLICATE
from services.command_service.answers import AnswerDesk
from services.command_service.arrivals import (
    Answer,
    Arrival,
    HeldPartitions,
    accounts_of,
    crashed,
    decoded,
    reason_of,
)
from services.command_service.counted import observe_poll
from services.command_service.traces import appending

if TYPE_CHECKING:
    from passbook.tracing.batches import BatchTrace, BatchTraces

_POLL_S: Final = 0.5
_ATTEMPTS: Final = 20
_PAUSE_S: Final = 0.01

log = structlog.get_logger()


class Batch:
    """What was decided on some arrivals: what to append, on top of which heads, whom to answer, and
    which states to keep once that is appended.
    """

    def __init__(self, arrivals: Sequence[Arrival]) -> None:
        """Start undecided."""
        self.arrivals = arrivals
        self.heads: dict[int, int] = {}
        self.events: list[NewEvent] = []
        self.decided: dict[UUID, CommandOutcome] = {}
        self.answers: list[Answer] = []
        self.snapshots: dict[UUID, Snapshot] = {}
        self.offsets: dict[int, int] = {}
        self.appended: asyncio.Task[None] | None = None
        self.trace: BatchTrace[Arrival] | None = None


class CommandService:
    """Works through the command topic until told to stop."""

    def __init__(  # noqa: PLR0913 - the wiring hands over every collaborator
        self,
        store: EventStore,
        cache: AccountCache,
        consumer: Consumer,
        desk: AnswerDesk,
        ring: Callable[[], None],
        keep: Callable[[Sequence[Snapshot]], None] = lambda _: None,
        traces: "BatchTraces[Arrival] | None" = None,
        aside: Collection[tuple[int, int]] = (),
    ) -> None:
        """Take the collaborators; `ring` tells the relay that there are new events, `keep` is given
        states of accounts as they are stored, and must not block; `traces` follows commands;
        `aside` are places (partition, offset) that are not looked at. The cache must hold more
        accounts than two polls can touch.
        """
        self._store = store
        self._cache = cache
        self._consumer = consumer
        self._desk = desk
        self._ring = ring
        self._keep = keep
        self._traces = traces
        self._aside = aside
        self._held = HeldPartitions(consumer)

    async def run(self, stop: asyncio.Event) -> None:
        """Decide commands until `stop` is set; what was appended by then is answered.

        Raises:
            StoreUnavailable, PublishFailed, ConsumerLost, PartStopped: nothing is lost; run anew.
        """
        poll: asyncio.Task[dict[int, list[Record]]] | None = None
        before: Batch | None = None
        try:
            while not stop.is_set():
                await self._desk.tend()
                self._held.release()
                poll = poll or asyncio.create_task(self._consumer.poll(_POLL_S))
                appending = {before.appended} if before and before.appended else set()
                await asyncio.wait({poll, *appending}, return_when=asyncio.FIRST_COMPLETED)
                batch = None
                if poll.done():
                    records, poll = poll.result(), None
                    batch = await self._decide_poll(records) if records else None
                before = await self._follow(before, batch)
            await self._follow(before, None)
            await self._desk.close()
        finally:
            if poll is not None:
                poll.cancel()
            # An append is never cut short: its own time limit bounds this wait.
            if before is not None and before.appended is not None:
                await asyncio.gather(before.appended, return_exceptions=True)
            await self._desk.abandon()

    async def _decide_poll(self, records: Mapping[int, list[Record]]) -> Batch:
        began_ns = time.time_ns()
        arrivals, offsets = decoded(records, self._aside), next_offsets(records)
        unreadable = await self._cache.load(accounts_of(arrivals))
        if unreadable:
            arrivals, offsets = self._held.cut(arrivals, offsets, unreadable)
        trace = self._traces.begin(arrivals, began_ns) if self._traces else None
        batch = self._decide(arrivals, {})
        observe_poll(records.values(), began_ns)
        batch.offsets = offsets
        batch.trace = trace
        return batch

    async def _follow(self, before: Batch | None, batch: Batch | None) -> Batch | None:
        """See the append of `before` through and start that of `batch`, which was decided on top.

        Returns the batch whose append is under way now.
        """
        if before is not None and before.appended is not None:
            try:
                await before.appended
                await self._desk.answer(before.answers, before.offsets, before.trace)
            except (SlotMoved, DuplicateCommand) as reason:
                # What was decided on top of something that did not happen did not happen either.
                self._cache.forget({*before.heads, *(batch.heads if batch else ())})
                await self._redo(before, reason)
                if batch is not None:
                    await self._redo(batch, reason)
                return None
        self._cache.shrink()
        if batch is not None:
            batch.appended = asyncio.create_task(self._append(batch))
        return batch

    async def _append(self, batch: Batch) -> None:
        if batch.decided:
            counts = len(batch.events), len(batch.decided)
            with APPEND_SECONDS.time(), appending(batch.trace, *counts):
                await self._store.append_batch(
                    batch.heads, batch.events, list(batch.decided.values())
                )
        if batch.events:
            self._ring()
        if batch.snapshots:
            self._keep(list(batch.snapshots.values()))

    def _decide(self, arrivals: Sequence[Arrival], stored: Mapping[UUID, CommandOutcome]) -> Batch:
        """Decide arrivals, whose accounts are held, in order; those in `stored` were decided
        before.
        """
        batch = Batch(arrivals)
        stamp = batch_stamp()
        for record, message in arrivals:
            if message.command_id is None:
                batch.answers.append(Answer(record, message, None))
                continue
            known = stored.get(message.command_id) or batch.decided.get(message.command_id)
            if known is None:
                try:
                    known = self._decide_one(batch, message, stamp)
                except Exception:
                    crashed(record)
                    raise
                batch.decided[message.command_id] = known
            else:
                COMMANDS_DUPLICATE.inc()
                if known.request_hash != message.request_hash:
                    known = self._refuse(message, CONFLICT, CONFLICT_MESSAGE, stamp)
            batch.answers.append(Answer(record, message, known))
        return batch

    def _decide_one(
        self, batch: Batch, message: CommandMessage | BadCommand, stamp: Stamp
    ) -> CommandOutcome:
        if isinstance(message, BadCommand):
            return self._refuse(message, message.code, message.reason, stamp)
        command_id, command, request_hash, context = message
        place = self._cache.touch(command.account_id)
        slot = place.slot
        head = self._cache.heads[slot]
        # Also for a refusal: it, too, is right only for the state it was decided on.
        batch.heads.setdefault(slot, head)
        try:
            account = execute(place.account, command, stamp)
        except AccountError as refusal:
            return self._refuse(message, refusal.code, str(refusal), stamp)
        place.account = account
        (event,) = account.pending_events
        account.clear_pending()
        self._cache.heads[slot] = head + 1
        metadata = orjson.dumps({"command_id": str(command_id), **context}).decode()
        batch.events.append(new_event(slot, account.id, event, metadata))
        if account.version >= place.snapshot_due:
            batch.snapshots[account.id] = self._cache.snapshot(place)
        return CommandOutcome(
            command_id,
            request_hash,
            account.id,
            account.version,
            (event.event_id,),
            None,
            None,
            event.occurred_at,
        )

    def _refuse(
        self, message: CommandMessage | BadCommand, code: str, text: str, stamp: Stamp
    ) -> CommandOutcome:
        assert message.command_id is not None, "without an id there is nobody to answer"
        account_id = message.account_id
        place = None if account_id is None else self._cache.get(account_id)
        account = None if place is None else place.account
        version = 0 if account is None else account.version
        _, now = stamp()
        return CommandOutcome(
            message.command_id, message.request_hash, account_id, version, (), code, text, now
        )

    async def _redo(self, batch: Batch, reason: Exception) -> None:
        """Decide a batch again whose append was refused: each slot by itself, so that a writer who
        is busy in one slot cannot hold up the others.
        """
        log.info("append.retried", reason=type(reason).__name__, commands=len(batch.arrivals))
        APPEND_RETRIES.labels(type(reason).__name__).inc()
        by_slot: dict[int | None, list[Arrival]] = defaultdict(list)
        for arrival in batch.arrivals:
            account_id = arrival.message.account_id
            by_slot[None if account_id is None else slot_of(account_id)].append(arrival)
        ids = [a.message.command_id for a in batch.arrivals if a.message.command_id is not None]
        stored = await self._store.outcomes(ids)
        for arrivals in by_slot.values():
            done = await self._redo_slot(arrivals, stored, batch.trace)
            await self._desk.answer(done.answers, {}, batch.trace)
        await self._desk.answer((), batch.offsets)

    async def _redo_slot(
        self,
        arrivals: Sequence[Arrival],
        stored: Mapping[UUID, CommandOutcome],
        trace: "BatchTrace[Arrival] | None",
    ) -> Batch:
        for attempt in range(_ATTEMPTS):
            for account_id, error in (await self._cache.load(accounts_of(arrivals))).items():
                # Another writer has just made it so. What is not answered comes again, to the next
                # session, which holds the partition.
                message = f"account {account_id}: {reason_of(error)}"
                raise PartStopped(message)
            batch = self._decide(arrivals, stored)
            batch.trace = trace
            try:
                await self._append(batch)
            except SlotMoved:
                self._cache.forget(batch.heads)
                # Let a burst of the other writer pass; the last pauses are about 0.2 s.
                await asyncio.sleep(random.uniform(0.5, 1.0) * _PAUSE_S * attempt)
            except DuplicateCommand:
                self._cache.forget(batch.heads)
                stored = await self._store.outcomes(list(batch.decided)) | dict(stored)
            else:
                return batch
        message = f"a slot moved {_ATTEMPTS} times under {len(arrivals)} commands"
        raise StoreUnavailable(message)
