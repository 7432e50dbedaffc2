"""Stores and pools of this folder."""

from collections.abc import Callable

import asyncpg
import pytest

from passbook.eventstore.postgres import PostgresEventStore
from passbook.projection.protocol import Projection
from passbook.projection.rebuild import Rebuilding
from tests.support.databases import Connect, Database, OpenPool

MakeRebuilding = Callable[[Projection], Rebuilding]


@pytest.fixture
async def store(pools: OpenPool) -> PostgresEventStore:
    """Give the store to write events to."""
    return PostgresEventStore(await pools("passbook_command_service"))


@pytest.fixture
async def balance_pool(pools: OpenPool) -> asyncpg.Pool:
    """Give connections of the balance projector's login."""
    return await pools("passbook_balance_projector")


@pytest.fixture
async def audit_pool(pools: OpenPool) -> asyncpg.Pool:
    """Give connections of the audit projector's login."""
    return await pools("passbook_audit_projector")


@pytest.fixture
async def reader(connect: Connect) -> asyncpg.Connection:
    """Give a connection that may read everything."""
    return await connect("passbook_reader")


@pytest.fixture
async def owner(pools: OpenPool) -> asyncpg.Pool:
    """Give connections of the login that owns the read models."""
    return await pools(size=8)


@pytest.fixture
def rebuilding(
    store: PostgresEventStore, owner: asyncpg.Pool, database: Database
) -> MakeRebuilding:
    """Give a function that returns what rebuilds a projection."""
    return lambda projection: Rebuilding(projection, owner, store, database.environment_id)
