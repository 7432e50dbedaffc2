"""Read models brought up to date in the test's own process, without Kafka."""

from collections import defaultdict
from typing import Any, cast

import asyncpg

from passbook.domain.slots import SLOT_COUNT
from passbook.eventstore.postgres import PostgresEventStore
from passbook.projection.protocol import Projection
from passbook.projection.recorded import from_recorded
from passbook.projection.runtime import ProjectionRuntime


async def project(pool: asyncpg.Pool, *projections: Projection) -> None:
    """Apply everything that the store of this database has above the projections' positions."""
    store = PostgresEventStore(pool)
    nobody = cast("Any", None)
    for projection in projections:
        runtime = ProjectionRuntime(projection, pool, store, nobody, nobody, 16)
        await runtime._reload()
        by_slot = defaultdict(list)
        after = {slot: runtime._at[slot] for slot in range(SLOT_COUNT)}
        for event in await store.read_log(after, 1000):
            by_slot[event.slot].append(from_recorded(event))
        await runtime.apply(by_slot)
