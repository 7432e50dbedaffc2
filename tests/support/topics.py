"""Topics of its own for every test: another prefix, and few partitions."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from passbook.messaging.topics import Topics, apply_topics
from tests.support.servers import Servers

PARTITIONS: Final = 4


@pytest.fixture(scope="session")
async def kafka_admin(servers: Servers) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give an admin client on the Kafka of this run."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.kafka_bootstrap)
    await admin.start()
    yield admin
    await admin.close()


@pytest.fixture
async def topics(kafka_admin: AIOKafkaAdminClient) -> AsyncIterator[Topics]:
    """Give the topics of this test, created, empty, and deleted afterwards."""
    async with new_topics(kafka_admin) as topics:
        yield topics


@asynccontextmanager
async def new_topics(
    kafka_admin: AIOKafkaAdminClient, partitions: int = PARTITIONS
) -> AsyncIterator[Topics]:
    """Have topics, created and empty, for the length of the block."""
    topics = Topics(f"test-{secrets.token_hex(4)}.", partitions)
    await apply_topics(kafka_admin, topics)
    yield topics
    await kafka_admin.delete_topics([spec.name for spec in topics.specs()])
