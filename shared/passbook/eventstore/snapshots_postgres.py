"""Snapshots in PostgreSQL: read and written through functions that never wait long for a lock."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import asyncpg

from passbook.domain.account import FOLD_VERSION
from passbook.domain.slots import SLOT_COUNT
from passbook.eventstore.pool import FAILURES, lent
from passbook.eventstore.snapshots import Snapshot, usable
from passbook.eventstore.translation import translate

_NEWEST_VERSION: Final = 2**31 - 1

_LOAD: Final = """
SELECT stream_id, version, fold_version, state, state_hash, is_recorded
  FROM eventstore.newest_snapshots($1, $2, $3, $4)
"""
_SAVE: Final = "SELECT eventstore.save_snapshots($1, $2, $3, $4, $5)"


class PostgresSnapshotStore:
    """`SnapshotStore` over an asyncpg pool; its login may read the event store, and call
    `eventstore.save_snapshots` if it saves. Every call ends within `timeout_s`.
    """

    def __init__(self, pool: asyncpg.Pool, *, timeout_s: float = 5.0) -> None:
        """Use `pool`, which stays the caller's to close."""
        self._pool = pool
        self._timeout_s = timeout_s

    async def load(
        self,
        stream_ids: Sequence[UUID],
        up_to_versions: Mapping[UUID, int] | None = None,
        *,
        heads: Mapping[int, int] | None = None,
    ) -> dict[UUID, Snapshot]:
        """See `SnapshotStore.load`."""
        limits = up_to_versions or {}
        versions = [limits.get(stream_id, _NEWEST_VERSION) for stream_id in stream_ids]
        numbers = None if heads is None else [heads.get(slot, 0) for slot in range(SLOT_COUNT)]
        async with self._connection() as connection:
            rows = await connection.fetch(_LOAD, stream_ids, versions, FOLD_VERSION, numbers)
        return usable((Snapshot(*row[:5]), row["is_recorded"]) for row in rows)

    async def save(self, snapshots: Sequence[Snapshot]) -> None:
        """See `SnapshotStore.save`."""
        # PostgreSQL refuses to change a row twice in one statement: the last one counts.
        distinct = {(one.stream_id, one.version): one for one in snapshots}
        if not distinct:
            return
        async with self._connection() as connection:
            await connection.execute(_SAVE, *zip(*distinct.values(), strict=True))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            async with lent(self._pool, self._timeout_s) as connection:
                yield connection
        except FAILURES as error:
            translate(error)
