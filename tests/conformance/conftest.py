"""The stores under test: PostgreSQL with the login of the command service, and the one in memory."""

import pytest

from passbook.eventstore.memory import InMemoryEventStore
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.store import EventStore
from tests.support.databases import OpenPool


@pytest.fixture
async def postgres_store(pools: OpenPool) -> PostgresEventStore:
    """Give the store as the command service has it."""
    return PostgresEventStore(await pools("passbook_command_service"))


@pytest.fixture(params=["postgres", "memory"])
def store(request: pytest.FixtureRequest) -> EventStore:
    """Give each implementation in turn, empty."""
    if request.param == "memory":
        return InMemoryEventStore()
    store: PostgresEventStore = request.getfixturevalue("postgres_store")
    return store
