"""The store as the command service has it."""

import pytest

from passbook.eventstore.postgres import PostgresEventStore
from tests.support.databases import OpenPool


@pytest.fixture
async def store(pools: OpenPool) -> PostgresEventStore:
    """Give a store over eight connections of the command service's login."""
    return PostgresEventStore(await pools("passbook_command_service", size=8))
