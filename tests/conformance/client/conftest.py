"""The banks under test: Kafka with a command service, and the one in memory."""

from collections.abc import AsyncIterator

import pytest

from passbook.client import Bank, PassbookClient
from passbook.client.testing import FakeBank
from passbook.config import Settings
from passbook.messaging.topics import Topics
from tests.conformance.client.stage import Stage
from tests.support.deciding import deciding
from tests.support.servers import Servers

__all__ = ["deciding"]


@pytest.fixture
async def real_bank(deciding: Settings) -> AsyncIterator[PassbookClient]:
    async with PassbookClient(deciding.kafka, deciding.topics) as client:
        yield client


@pytest.fixture(params=["kafka", "fake"])
def bank(request: pytest.FixtureRequest) -> Bank:
    """Give each bank in turn, without accounts."""
    if request.param == "fake":
        return FakeBank()
    bank: PassbookClient = request.getfixturevalue("real_bank")
    return bank


@pytest.fixture
async def real_stage(servers: Servers, topics: Topics) -> AsyncIterator[Stage]:
    origin = FakeBank(partitions=topics.partitions)
    bootstrap = servers.kafka_bootstrap
    async with PassbookClient(bootstrap, topics, session_timeout=6.0) as client:
        yield Stage(origin, client, bootstrap, topics)


@pytest.fixture
async def fake_stage() -> AsyncIterator[Stage]:
    async with FakeBank() as origin:
        yield Stage(origin, origin)


@pytest.fixture(params=["kafka", "fake"])
def stage(request: pytest.FixtureRequest) -> Stage:
    """Give each place to subscribe at in turn, with nothing published yet."""
    stage: Stage = request.getfixturevalue(
        "real_stage" if request.param == "kafka" else "fake_stage"
    )
    return stage
