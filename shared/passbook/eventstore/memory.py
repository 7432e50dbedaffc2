"""The event store in memory: same contract, no server. For tests of code that uses a store."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from passbook.domain.events import AccountEvent
from passbook.domain.slots import SLOT_COUNT, slot_of
from passbook.eventstore.errors import (
    BrokenInvariant,
    ConcurrencyError,
    DuplicateCommand,
    MomentNotPast,
    SlotMoved,
)
from passbook.eventstore.recording import record
from passbook.eventstore.store import (
    CommandOutcome,
    NewEvent,
    RecordedEvent,
    check_numbering,
    new_event,
)

_TICK: Final = timedelta(microseconds=1)
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class InMemoryEventStore:
    """`EventStore` that lives as long as the object. Not for several threads."""

    def __init__(self) -> None:
        """Start empty."""
        self._slots: list[list[RecordedEvent]] = [[] for _ in range(SLOT_COUNT)]
        self._streams: dict[UUID, list[RecordedEvent]] = {}
        self._outcomes: dict[UUID, CommandOutcome] = {}
        self._settled = [_LONG_AGO] * SLOT_COUNT

    async def append(
        self, stream_id: UUID, events: Sequence[AccountEvent], expected_version: int
    ) -> None:
        """See `EventStore.append`."""
        check_numbering(events, expected_version)
        actual = len(self._streams.get(stream_id, ()))
        if events and actual != expected_version:
            raise ConcurrencyError(stream_id, expected_version, actual)
        slot = slot_of(stream_id)
        self._record([new_event(slot, stream_id, event, "{}") for event in events])

    async def append_batch(
        self,
        expected_heads: Mapping[int, int],
        events: Sequence[NewEvent],
        outcomes: Sequence[CommandOutcome],
    ) -> None:
        """See `EventStore.append_batch`."""
        for slot, expected in expected_heads.items():
            if len(self._slots[slot]) != expected:
                detail = f"slot {slot}: expected head {expected}, found {len(self._slots[slot])}"
                raise SlotMoved(detail)
        ids = [outcome.command_id for outcome in outcomes]
        if len(set(ids)) < len(ids) or not self._outcomes.keys().isdisjoint(ids):
            raise DuplicateCommand
        numbers = {(event.stream_id, event.version) for event in events}
        taken = any(version <= len(self._streams.get(stream, ())) for stream, version in numbers)
        if taken or len(numbers) < len(events) or {e.slot for e in events} - expected_heads.keys():
            message = "a version of a stream exists already, or a slot was not named"
            raise BrokenInvariant(message)
        if any(_contradicts_itself(outcome) for outcome in outcomes):
            message = "an outcome is both accepted and rejected"
            raise BrokenInvariant(message)
        self._record(events)
        self._outcomes.update(zip(ids, outcomes, strict=True))

    def _record(self, events: Sequence[NewEvent]) -> None:
        now = datetime.now(UTC)
        for event in events:
            log = self._slots[event.slot]
            moment = max(now, self._newest(event.slot))
            recorded = record(event, len(log) + 1, moment)
            log.append(recorded)
            self._streams.setdefault(event.stream_id, []).append(recorded)

    async def load(self, stream_id: UUID, after_version: int = 0) -> list[AccountEvent]:
        """See `EventStore.load`."""
        recorded = self._streams.get(stream_id, [])
        return [event.decode() for event in recorded if event.version > after_version]

    async def history(
        self, stream_id: UUID, after_version: int = 0, limit: int | None = None
    ) -> list[RecordedEvent]:
        """See `EventStore.history`."""
        return list(self._streams.get(stream_id, ()))[after_version:][:limit]

    async def heads(self) -> dict[int, int]:
        """See `EventStore.heads`."""
        return {slot: len(log) for slot, log in enumerate(self._slots)}

    async def published(self) -> dict[int, int]:
        """See `EventStore.published`: there is no relay, so everything counts as published."""
        return await self.heads()

    async def oldest_age_s(self, after: Mapping[int, int]) -> float:
        """See `EventStore.oldest_age_s`."""
        now = datetime.now(UTC)
        following = [
            self._slots[slot][seq] for slot, seq in after.items() if seq < len(self._slots[slot])
        ]
        ages = [(now - event.recorded_at).total_seconds() for event in following]
        return max(0.0, *ages, 0.0)

    async def read_slot(self, slot: int, after: int, limit: int) -> list[RecordedEvent]:
        """See `EventStore.read_slot`."""
        return self._slots[slot][after : after + limit]

    async def read_log(self, after: Mapping[int, int], limit: int) -> list[RecordedEvent]:
        """See `EventStore.read_log`."""
        return [
            event for slot, seq in after.items() for event in self._slots[slot][seq : seq + limit]
        ]

    async def read_streams(
        self,
        stream_ids: Sequence[UUID],
        up_to: Mapping[int, int],
        after: Mapping[UUID, int] | None = None,
    ) -> list[RecordedEvent]:
        """See `EventStore.read_streams`."""
        versions = after or {}
        return [
            event
            for stream_id in sorted(set(stream_ids))
            for event in self._streams.get(stream_id, ())
            if event.slot_seq <= up_to.get(event.slot, 0)
            and event.version > versions.get(stream_id, 0)
        ]

    async def streams(self, after: UUID | None, limit: int) -> list[UUID]:
        """See `EventStore.streams`."""
        following = [one for one in self._streams if after is None or one > after]
        return sorted(following)[:limit]

    async def settle(self, moment: datetime, slots: Collection[int]) -> None:
        """See `EventStore.settle`."""
        for slot in sorted(slots):
            newest = self._newest(slot)
            if newest > moment:
                continue
            now = datetime.now(UTC)
            if moment >= now:
                raise MomentNotPast(moment, now)
            self._settled[slot] = moment + _TICK

    def _newest(self, slot: int) -> datetime:
        log = self._slots[slot]
        return max(self._settled[slot], log[-1].recorded_at) if log else self._settled[slot]

    def place(self, stream_id: UUID, version: int) -> tuple[int, int] | None:
        """Return (slot, slot_seq) of a stream's event with this version, if it is in the log."""
        for event in self._streams.get(stream_id, ()):
            if event.version == version:
                return event.slot, event.slot_seq
        return None

    async def outcomes(self, command_ids: Sequence[UUID]) -> dict[UUID, CommandOutcome]:
        """See `EventStore.outcomes`."""
        return {
            command_id: self._outcomes[command_id]
            for command_id in command_ids
            if command_id in self._outcomes
        }


def _contradicts_itself(outcome: CommandOutcome) -> bool:
    refused = outcome.error_code is not None
    return refused != (outcome.error_message is not None) or (refused and bool(outcome.event_ids))
