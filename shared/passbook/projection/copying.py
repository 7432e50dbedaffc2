"""Folding the log into a copy: several slots at a time, in batches that are transactions.

Each batch moves the copy's positions with its rows. A run that is cut off anywhere, by Ctrl-C or
`kill -9`, leaves a copy from which the next one goes on.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import asyncpg

from passbook.eventstore.store import EventStore
from passbook.messaging.events import PublishedEvent
from passbook.projection.applying import Applier
from passbook.projection.protocol import Projection, ProjectionStopped
from passbook.projection.recorded import from_recorded

BATCH: Final = 5_000
"""Events read and applied at a time: large enough that a busy account is written once for many of
its events, small enough that some of them in memory at once are a few dozen megabytes."""

SLOTS_AT_A_TIME: Final = 3
"""While one slot's rows are computed here, PostgreSQL reads and writes those of the others."""

OnEvents = Callable[[Sequence[PublishedEvent]], None]


class Copying:
    """Brings one copy to given positions. `on_events` gets every batch after it was applied.

    `already` is how many events the copy had when it was first looked at, `fold_s` the time that
    `reach` and `finish` have taken.
    """

    def __init__(self, copy: Projection, store: EventStore, on_events: OnEvents) -> None:
        """Read from `store`; `load` comes first."""
        self._applier = Applier(copy)
        self._store = store
        self._on_events = on_events
        self._at: dict[int, int] = {}
        self.already = 0
        self.fold_s = 0.0

    @property
    def applied(self) -> int:
        """How many events the copy has."""
        return sum(self._at.values())

    async def load(self, connection: asyncpg.Connection) -> None:
        """Read how far the copy is."""
        first = not self._at
        self._at = await self._applier.load(connection)
        if first:
            self.already = self.applied

    def behind(self, target: Mapping[int, int]) -> int:
        """Return how many events are missing up to `target`."""
        return sum(max(0, number - self._at[slot]) for slot, number in target.items())

    async def reach(self, rows: asyncpg.Pool, target: Mapping[int, int]) -> None:
        """Bring every slot to its number in `target`, a few slots at a time.

        Raises:
            Fenced: somebody else works on this copy.
            ProjectionStopped: the log has events that this code cannot apply, or lacks some.
        """
        # The longest first, so that none is left for the end that the others wait for.
        todo = sorted(
            (slot for slot, number in target.items() if number > self._at[slot]),
            key=lambda slot: self._at[slot] - target[slot],
        )
        waiting = iter(todo)

        async def work() -> None:
            async with rows.acquire() as connection:
                for slot in waiting:
                    await self._slot(connection, slot, target[slot])

        with self._timed():
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(SLOTS_AT_A_TIME, len(todo))):
                        group.create_task(work())
            except ExceptionGroup as failures:
                raise failures.exceptions[0] from failures  # the first one cancelled the others

    async def finish(self, connection: asyncpg.Connection, target: Mapping[int, int]) -> None:
        """Bring every slot to its number in `target`, in the transaction of the caller."""
        with self._timed():
            for slot, number in target.items():
                await self._slot(connection, slot, number)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.fold_s += time.perf_counter() - began

    async def _slot(self, connection: asyncpg.Connection, slot: int, number: int) -> None:
        while (at := self._at[slot]) < number:
            recorded = await self._store.read_slot(slot, at, min(BATCH, number - at))
            if not recorded:
                message = (
                    f"slot {slot}: the live positions are at {number}, the event store ends at {at}"
                )
                raise ProjectionStopped(message)
            events = [from_recorded(event) for event in recorded]
            reached = events[-1].slot_seq
            await self._applier.apply(connection, events, {slot: at}, {slot: reached})
            self._at[slot] = reached
            self._on_events(events)
