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
_LOOK_EVERY_S: Final = 0.05

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
_NOW: Final = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
# A snapshot that is older than what was committed until `$1`. Transaction ids are compared by their
# ages, which count across the wrap-around of the short ones that pg_stat_activity shows. Whoever waits
# for this session, or for somebody who does, would be waited for in vain: an instance with its next
# batch, or an append with an inline projection. They look anew when they go on.
_OLDER: Final = """
WITH RECURSIVE waiting AS (
    SELECT pid, pg_blocking_pids(pid) AS for_pids FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock'
), ours AS (
    SELECT pg_backend_pid() AS pid
     UNION
    SELECT w.pid FROM waiting w JOIN ours o ON o.pid = ANY (w.for_pids)
)
SELECT pid, application_name, to_char(now() - xact_start, 'HH24:MI:SS') AS since
  FROM pg_stat_activity
 WHERE datname = current_database() AND backend_type = 'client backend'
   AND pid NOT IN (SELECT pid FROM ours) AND backend_xmin IS NOT NULL
   AND age(backend_xmin) > pg_snapshot_xmax(pg_current_snapshot())::text::bigint - $1::bigint
 ORDER BY xact_start LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Swapped:
    """How it went. `held_s` is how long the live projection had to wait."""

    comparison: Comparison
    held_s: float


async def settle(connection: asyncpg.Connection, bound_s: float | None = None) -> None:
    """Return when nobody has a snapshot that is older than now.

    A transaction in `repeatable read` that looked at the database while the copy was filled, and
    reads the table only after the swap, would find in it what was there when it looked.

    Raises:
        NoTurn: one does not end in time, by default a minute.
    """
    now = await connection.fetchval(_NOW)
    deadline = time.monotonic() + (_OLD_SNAPSHOTS_BOUND_S if bound_s is None else bound_s)
    while (older := await connection.fetchrow(_OLDER, now)) is not None:
        if time.monotonic() > deadline:
            pid, application, since = older
            message = (
                f"a transaction that has been open for {since} (pid {pid}, {application}) would find "
                "a half-built table: let it end, and give the same command again"
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
        await settle(connection, _SNAPSHOTS_BOUND_S)
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
