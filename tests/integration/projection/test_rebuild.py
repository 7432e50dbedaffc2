"""A read model is built anew beside the live one, and takes its place."""

import asyncpg
import pytest

from passbook.eventstore.postgres import PostgresEventStore
from passbook.projection.rebuild import Rebuilding
from services.balance_projector.projection import BalanceProjection
from tests.integration.projection.reading import balances, folded, write_history
from tests.support.databases import Database, OpenPool
from tests.support.projected import project


@pytest.fixture
async def owner(pools: OpenPool) -> asyncpg.Pool:
    """Give connections of the login that owns the read models."""
    return await pools(size=8)


async def test_a_rebuild_gives_the_fold_of_the_log_and_keeps_the_rows_before(
    store: PostgresEventStore,
    owner: asyncpg.Pool,
    reader: asyncpg.Connection,
    database: Database,
) -> None:
    await write_history(store, 1, accounts=30, steps=300)
    await project(owner, BalanceProjection())
    before = await balances(reader)

    found = await Rebuilding(BalanceProjection(), owner, store, database.environment_id).rebuild()

    assert found.ok
    assert await balances(reader) == before == await folded(store, await store.heads())
