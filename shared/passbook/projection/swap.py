"""The moment of a rebuild: the live projection is held, the copy is made equal, they change places.

Readers are never held, and never find a table missing or half-built: the schemas are renamed in
the transaction that has compared their rows. Whoever looks a name up finds the one or the other.
"""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from passbook.eventstore.pool import lent
from passbook.projection.beside import Beside
from passbook.projection.copies import Comparison, compare, live_positions, put_in_place
from passbook.projection.copying import Copying
from passbook.projection.errors import EvidenceDiffers, NoTurn
from passbook.projection.protocol import Projection

_ATTEMPTS: Final = 5
_PAUSE_S: Final = 1.0
_OLD_SNAPSHOTS_BOUND_S: Final = 60.0
_SNAPSHOTS_BOUND_S: Final = 1.0
_LOOK_EVERY_S: Final = 0.005

_HELD_BOUND_S: Final = 45.0
"""How long the live projection may have to wait at most: less than its own patience. Some ten
million accounts are compared in that time."""

_LOCK_TIMEOUT: Final = "SET LOCAL lock_timeout = '3s'"
_BOUND: Final = "SELECT set_config('transaction_timeout', $1, true)"
# Waits for the transactions that move positions now, and lets no new one begin.
_GATE: Final = "LOCK TABLE projections.positions IN SHARE ROW EXCLUSIVE MODE"
_HOLD: Final = """
SELECT FROM projections.positions WHERE projection = $1 ORDER BY slot FOR NO KEY UPDATE
"""
_SNAPSHOTS: Final = """
SELECT pid, xact_start, backend_xmin::text FROM pg_stat_activity
 WHERE datname = current_database() AND backend_type = 'client backend'
   AND pid NOT IN (pg_backend_pid(), $1) AND backend_xmin IS NOT NULL
"""
# Another start of the transaction, or another xmin, is another snapshot. Not those with a smaller
# xmin than now: whoever looks while the live one is held has that transaction's id as its xmin.
_STILL_THERE: Final = """
SELECT a.pid, a.application_name, to_char(clock_timestamp() - a.xact_start, 'HH24:MI:SS')
  FROM pg_stat_activity a
  JOIN unnest($1::integer[], $2::timestamptz[], $3::text[]) AS s(pid, xact_start, xmin)
    ON a.pid = s.pid AND a.xact_start IS NOT DISTINCT FROM s.xact_start
   AND a.backend_xmin::text = s.xmin
 WHERE NOT $4::integer = ANY (pg_blocking_pids(a.pid))
 ORDER BY a.xact_start LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Swapped:
    """How it went. `held_s` is how long the live projection had to wait."""

    comparison: Comparison
    held_s: float


async def settle(rows: asyncpg.Pool, bound_s: float | None = None, besides: int = 0) -> None:
    """Return when nobody has a snapshot any more that is older than this call, but for
    the backend `besides`, the caller's, and those that wait for it: live projectors.

    A transaction in `repeatable read` that looked at the database while the copy was filled, and
    reads the table only after the swap, would find in it what was there when it looked.

    Raises:
        NoTurn: one does not end in time, by default a minute.
    """
    # Not in a transaction: inside one, pg_stat_activity shows the same for ever.
    async with rows.acquire() as connection:
        snapshots = await connection.fetch(_SNAPSHOTS, besides)
        columns = list(zip(*snapshots, strict=True)) or [(), (), ()]
        deadline = time.monotonic() + (_OLD_SNAPSHOTS_BOUND_S if bound_s is None else bound_s)
        while (older := await connection.fetchrow(_STILL_THERE, *columns, besides)) is not None:
            if time.monotonic() > deadline:
                pid, application, since = older
                message = (
                    f"a transaction that has been open for {since} (pid {pid}, {application}) "
                    "would find a half-built table: let it end, and give the same command again"
                )
                raise NoTurn(message)
            await asyncio.sleep(_LOOK_EVERY_S)


async def swap(
    rows: asyncpg.Pool, projection: Projection, copy: Beside, copying: Copying
) -> Swapped:
    """Make the copy the live projection, at exactly the live positions.

    Raises:
        NoTurn: somebody else's locks were in the way, several times.
        EvidenceDiffers: the rows are evidence, and not what the log gives.
        Fenced, ProjectionStopped: see `Copying`.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return await _uncancelled(_swap(rows, projection, copy, copying))
        except NoTurn:
            if attempt == _ATTEMPTS:
                raise
        except asyncpg.LockNotAvailableError as error:
            if attempt == _ATTEMPTS:
                message = (
                    f"{projection.name} could not be held for a moment, {_ATTEMPTS} times ({error}): "
                    "see who holds locks in pg_stat_activity, and give the same command again"
                )
                raise NoTurn(message) from error
        await asyncio.sleep(_PAUSE_S * attempt)
    raise AssertionError


async def _swap(
    rows: asyncpg.Pool, projection: Projection, copy: Beside, copying: Copying
) -> Swapped:
    async with lent(rows, _HELD_BOUND_S) as connection, connection.transaction():
        await connection.execute(_LOCK_TIMEOUT)
        await connection.execute(_BOUND, f"{_HELD_BOUND_S:.0f}s")
        began = time.perf_counter()
        await _hold(rows, connection, projection)
        # Committed before the swap, not with it: whoever has a snapshot from before the swap then
        # finds all of it, and who has one from before this is waited for.
        await copying.reach(rows, await live_positions(connection, projection))
        await settle(rows, _SNAPSHOTS_BOUND_S, connection.get_server_pid())
        comparison = await compare(connection, projection, copy)
        if projection.evidence and comparison.differing and comparison.live_rows:
            raise EvidenceDiffers(projection.name, copy.schema, comparison.differing)
        await put_in_place(connection, projection, copy)
    return Swapped(comparison, time.perf_counter() - began)


async def _hold(rows: asyncpg.Pool, connection: asyncpg.Connection, projection: Projection) -> None:
    """Lock the live positions, so that instances wait with their next batch.

    An instance locks the slots of a batch in whatever order its plan has, so taking 64 rows one by
    one could end in a deadlock with it. Behind the gate nobody has any of them; other projections
    wait only for as long as that takes.
    """
    async with rows.acquire() as gate, gate.transaction():
        await gate.execute(_LOCK_TIMEOUT)
        await gate.execute(_GATE)
        await connection.execute(_HOLD, projection.name)


async def _uncancelled(swapping: Coroutine[Any, Any, Swapped]) -> Swapped:
    """Run one attempt to its end, which is near, even when the caller is cancelled: what a commit
    that is cut short has done would be unknown.
    """
    task = asyncio.ensure_future(swapping)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
