"""The event store's contract: what is stored, how it is appended, how it is read.

Two implementations keep it: `PostgresEventStore` and `InMemoryEventStore`. One suite of tests runs
over both.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol
from uuid import UUID

import orjson

from passbook.domain.events import AccountEvent, event_from_data
from passbook.domain.upcasting import EventUpcaster

_UPCASTER: Final = EventUpcaster()


class NewEvent(NamedTuple):
    """An event about to be appended. `data` and `metadata` are JSON objects as text."""

    slot: int
    stream_id: UUID
    version: int
    event_id: UUID
    event_type: str
    schema_version: int
    data: str
    metadata: str
    occurred_at: datetime


class RecordedEvent(NamedTuple):
    """An event as it stands in the log: number `slot_seq` of `slot`, for ever.

    `data` and `metadata` are JSON text exactly as the store returns it, which is also what is
    published. Numbers of a slot start at 1 and have no holes.
    """

    slot: int
    slot_seq: int
    stream_id: UUID
    version: int
    event_id: UUID
    event_type: str
    schema_version: int
    data: str
    metadata: str
    occurred_at: datetime
    recorded_at: datetime

    def decode(self, upcaster: EventUpcaster = _UPCASTER) -> AccountEvent:
        """Return the domain event, read as the newest schema version.

        Raises:
            UnknownEventType, UnknownSchemaVersion: never skip it; upgrade.
        """
        return event_from_data(
            self.event_type,
            upcaster.upcast(self.event_type, self.schema_version, orjson.loads(self.data)),
            account_id=self.stream_id,
            event_id=self.event_id,
            occurred_at=self.occurred_at,
            version=self.version,
        )


class CommandOutcome(NamedTuple):
    """What was decided on a command. Accepted when `error_code` is None.

    `request_hash` identifies the command's content, `version` is the account's version after an
    accepted command or as seen by a rejected one. `stream_id` is None when the command did not
    name a usable account.
    """

    command_id: UUID
    request_hash: bytes
    stream_id: UUID | None
    version: int
    event_ids: tuple[UUID, ...]
    error_code: str | None
    error_message: str | None
    decided_at: datetime


class EventStore(Protocol):
    """An append-only store of events in streams (accounts) and slots (gapless logs)."""

    async def append(
        self, stream_id: UUID, events: Sequence[AccountEvent], expected_version: int
    ) -> None:
        """Append to one stream that must be at `expected_version` (0: it must be empty).

        Raises:
            ConcurrencyError: it is at another version; nothing was appended.
            ValueError: the events are not numbered `expected_version + 1` and up.
        """
        ...

    async def load(self, stream_id: UUID, after_version: int = 0) -> list[AccountEvent]:
        """Return a stream's events after a version, oldest first; empty when there are none.

        Raises:
            UnknownEventType, UnknownSchemaVersion: an event this code cannot read.
        """
        ...

    async def append_batch(
        self,
        expected_heads: Mapping[int, int],
        events: Sequence[NewEvent],
        outcomes: Sequence[CommandOutcome],
    ) -> None:
        """Append events of many streams and the outcomes that caused them, all or nothing.

        `expected_heads` names every slot that the events touch, with the head (0: empty) on which
        the caller's state was built. Events get the next numbers of their slots in order.

        Raises:
            SlotMoved: a head differs.
            DuplicateCommand: an outcome with one of these command ids exists.
            BrokenInvariant: a version of a stream exists already although the heads were right, a
                slot was not named, an outcome contradicts itself: a bug of the caller.
        """
        ...

    async def heads(self) -> dict[int, int]:
        """Return the head of each of the 64 slots; 0 for an empty one."""
        ...

    async def published(self) -> dict[int, int]:
        """Return slot → how far the relay has said that it published; slots it never wrote down
        are missing. Runs behind by about a second.
        """
        ...

    async def oldest_age_s(self, after: Mapping[int, int]) -> float:
        """Return the age, in seconds, of the oldest event of the slots in `after` above its number,
        by the clock of the store; 0 when there is none.
        """
        ...

    async def read_slot(self, slot: int, after: int, limit: int) -> list[RecordedEvent]:
        """Return up to `limit` events of a slot with numbers above `after`, in order."""
        ...

    async def read_log(self, after: Mapping[int, int], limit: int) -> list[RecordedEvent]:
        """Return up to `limit` events of each slot in `after` above its number.

        Slots may come in any order; inside a slot, number follows number.
        """
        ...

    async def read_streams(
        self,
        stream_ids: Sequence[UUID],
        up_to: Mapping[int, int],
        after: Mapping[UUID, int] | None = None,
    ) -> list[RecordedEvent]:
        """Return the events of some streams, each up to a number of its slot and above the version
        that `after` has for the stream (0 where it has none), oldest first.
        """
        ...

    async def history(
        self, stream_id: UUID, after_version: int = 0, limit: int | None = None
    ) -> list[RecordedEvent]:
        """Return what is recorded of one stream after a version, oldest first: everything, or up to
        `limit` events.
        """
        ...

    async def streams(self, after: UUID | None, limit: int) -> list[UUID]:
        """Return the ids of up to `limit` streams above `after` (None: from the first), in order."""
        ...

    async def settle(self, moment: datetime, slots: Collection[int]) -> None:
        """Make sure that whatever is recorded in `slots` from now on is recorded after `moment`, an
        aware time. What was recorded up to then is the same for ever, also if the clock of the
        store is set back. Waits, for a bounded time, for appends that are in flight.

        Raises:
            MomentNotPast: the clock of the store has not reached it.
        """
        ...

    async def outcomes(self, command_ids: Sequence[UUID]) -> dict[UUID, CommandOutcome]:
        """Return the stored outcomes of those command ids that have one."""
        ...


def new_event(slot: int, stream_id: UUID, event: AccountEvent, metadata: str) -> NewEvent:
    """Return the row that stores a domain event."""
    return NewEvent(
        slot,
        stream_id,
        event.version,
        event.event_id,
        event.event_type,
        event.schema_version,
        orjson.dumps(event.data).decode(),
        metadata,
        event.occurred_at,
    )


def check_numbering(events: Sequence[AccountEvent], expected_version: int) -> None:
    """Raise `ValueError` unless the events are numbered `expected_version + 1` and up."""
    for version, event in enumerate(events, start=expected_version + 1):
        if event.version != version:
            message = f"event {event.event_id} has version {event.version}, expected {version}"
            raise ValueError(message)
