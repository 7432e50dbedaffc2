"""A command service in the test's own process, on the test's own database and topics."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from passbook.config import Settings
from passbook.messaging.topics import Topics
from passbook.service import Health
from services.command_service.__main__ import session
from tests.support.databases import Database
from tests.support.servers import Servers
from tests.support.until import until


@pytest.fixture
async def deciding(servers: Servers, database: Database, topics: Topics) -> AsyncIterator[Settings]:
    """Have commands decided during the test; give the settings of the one who decides them."""
    settings = Settings(
        event_store_dsn=SecretStr(database.dsn("passbook_command_service")),
        kafka_bootstrap=servers.kafka_bootstrap,
        topic_prefix=topics.prefix,
        topic_partitions=topics.partitions,
    )
    stop, health = asyncio.Event(), Health()
    service = asyncio.create_task(session(stop, health, settings))
    await until(lambda: service.done() or not health.reason)
    yield settings
    stop.set()
    await service
