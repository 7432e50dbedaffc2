"""Stores and pools of this folder."""

import asyncpg
import pytest

from passbook.eventstore.postgres import PostgresEventStore
from tests.support.databases import Connect, OpenPool


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
