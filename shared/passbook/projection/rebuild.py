"""Building a read model anew beside the live one, which goes on all the time.

The copy is folded from the log until it is near the live positions; then `swap` has its moment.
Needs the login that owns the schemas.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from passbook.eventstore.store import EventStore
from passbook.messaging.events import PublishedEvent
from passbook.projection.beside import Beside, Role
from passbook.projection.copies import (
    Comparison,
    alone,
    analyze,
    compare,
    drop,
    is_there,
    live_positions,
    make,
)
from passbook.projection.copying import Copying, OnEvents
from passbook.projection.errors import NothingKept
from passbook.projection.positions import Positions
from passbook.projection.protocol import Projection, doorbell_channel
from passbook.projection.swap import settle, swap

NEAR: Final = 1_000
"""Events that may be missing when the swap begins; it applies them while the live one waits."""

CONNECTIONS: Final = 8
"""How many connections to the read models, and as many to the event store, are used at most."""

_ROUNDS: Final = 50

_RING: Final = "SELECT pg_notify($1, '')"

OnProgress = Callable[[int, int], None]
Look = Callable[[asyncpg.Connection], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came out. `events` were applied in this run, `already` by one before it that was cut
    off; `fold_s` is what the `events` took, `seconds` everything; `held_s` is how long the live
    projection had to wait, None when nothing was swapped.
    """

    comparison: Comparison
    events: int
    already: int
    fold_s: float
    seconds: float
    held_s: float | None

    @property
    def ok(self) -> bool:
        """Whether the live rows were what the log gives."""
        return not self.comparison.differing


class Rebuilding:
    """Rebuilds, rolls back and verifies one projection."""

    def __init__(
        self,
        projection: Projection,
        rows: asyncpg.Pool,
        store: EventStore,
        environment_id: UUID,
        on_progress: OnProgress = lambda _done, _all: None,
    ) -> None:
        """Work with `rows`, logins that own the read models, and with a store which is that of
        `environment_id`. `on_progress` gets how many events the copy has, of how many.
        """
        self._projection = projection
        self._rows = rows
        self._store = store
        self._environment_id = environment_id
        self._on_progress = on_progress

    async def rebuild(self, *, fresh: bool = False) -> Rebuilt:
        """Build the projection anew and put the result in its place, whatever differs; the one
        before is kept. Goes on with a copy that was left behind, unless `fresh`.

        Raises:
            RebuildError: nothing was swapped; see the kinds of it.
            StoreMismatch: the projection is not installed, or of another event store.
        """
        async with alone(self._rows, self._projection) as connection:
            await self._claim(connection)
            copy = Beside(self._projection, Role.NEXT)
            if fresh or not await is_there(connection, copy, self._environment_id):
                await make(connection, self._projection, Role.NEXT, self._environment_id)
            return await self._replace(connection, copy)

    async def roll_back(self) -> Rebuilt:
        """Bring the one that was live before up to date and put it in its place again.

        Raises:
            NothingKept: there is none.
            RebuildError, StoreMismatch: see `rebuild`.
        """
        async with alone(self._rows, self._projection) as connection:
            await self._claim(connection)
            copy = Beside(self._projection, Role.OLD)
            if not await is_there(connection, copy, self._environment_id):
                message = f"{self._projection.name} has no former copy to go back to"
                raise NothingKept(message)
            return await self._replace(connection, copy)

    async def verify(
        self, on_events: OnEvents = lambda _events: None, look: Look | None = None
    ) -> Rebuilt:
        """Compare the projection with the fold of the log, changing neither.

        `on_events` gets every event up to the positions at which they were compared, once; `look`
        the connection that sees the live rows as they were compared.

        Raises:
            RebuildError, StoreMismatch: see `rebuild`.
        """
        began = time.perf_counter()
        async with alone(self._rows, self._projection) as connection:
            await self._claim(connection)
            copy = Beside(self._projection, Role.CHECK)
            await make(connection, self._projection, Role.CHECK, self._environment_id)
            try:
                copying = await self._near(connection, copy, on_events)
                comparison = await self._compare(connection, copy, copying, look)
            finally:
                if not connection.is_closed():
                    await drop(connection, copy)
        return Rebuilt(
            comparison, copying.applied, 0, copying.fold_s, time.perf_counter() - began, None
        )

    async def _claim(self, connection: asyncpg.Connection) -> None:
        positions = Positions(self._projection.name)
        await positions.claim(connection, self._environment_id, self._projection.version)
        # What a verification that was killed has left.
        await drop(connection, Beside(self._projection, Role.CHECK))

    async def _replace(self, connection: asyncpg.Connection, copy: Beside) -> Rebuilt:
        began = time.perf_counter()
        copying = await self._near(connection, copy)
        await analyze(connection, copy)
        await settle(self._rows)
        swapped = await swap(self._rows, self._projection, copy, copying)
        # Somebody may wait for a row that the live one lacked.
        await connection.execute(_RING, doorbell_channel(self._projection.name))
        return Rebuilt(
            swapped.comparison,
            copying.applied - copying.already,
            copying.already,
            copying.fold_s,
            time.perf_counter() - began,
            swapped.held_s,
        )

    async def _near(
        self,
        connection: asyncpg.Connection,
        copy: Beside,
        on_events: OnEvents = lambda _events: None,
    ) -> Copying:
        """Fold the log until the live projection, which goes on meanwhile, is nearly reached.

        Its positions are the limit, not the log's end: the two have to meet at exactly these.
        """
        total = 0

        def watched(events: Sequence[PublishedEvent]) -> None:
            on_events(events)
            self._on_progress(copying.applied, max(total, copying.applied))

        copying = Copying(copy, self._store, watched)
        await copying.load(connection)
        for number in range(_ROUNDS):
            target = await live_positions(connection, self._projection)
            total = sum(target.values())
            # A short log is folded here, too: the live projection does not wait for that.
            if copying.behind(target) <= (NEAR if number else 0):
                break
            await copying.reach(self._rows, target)
        return copying

    async def _compare(
        self,
        connection: asyncpg.Connection,
        copy: Beside,
        copying: Copying,
        look: Look | None,
    ) -> Comparison:
        """Compare what one snapshot shows of the live projection with a copy that is brought to
        that very positions in the same transaction. Nobody is held.
        """
        async with connection.transaction(isolation="repeatable_read"):
            await copying.finish(connection, await live_positions(connection, self._projection))
            if look is not None:
                await look(connection)
            return await compare(connection, self._projection, copy)
