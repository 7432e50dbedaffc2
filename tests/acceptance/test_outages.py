"""A server goes away in the middle of the work; nothing is lost, and nobody has to be restarted."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from passbook.embedded.kafka import EmbeddedKafka
from passbook.messaging.topics import apply_topics
from tests.support.databases import Connect
from tests.support.outsider import Outsider
from tests.support.proxy import proxied
from tests.support.reckoning import evidence_holds, reckon
from tests.support.until import until
from tests.support.world import COMMAND_SERVICE, RELAY, SERVICES, World, at_least

_COMMANDS: Final = 20_000
_ACCOUNTS: Final = 1_000


async def test_a_database_that_is_away_for_two_seconds_costs_nothing_and_needs_no_restart(
    world: World, connect: Connect
) -> None:
    """Its last answers are lost before, so that nobody knows what of the last batches happened."""
    expected = await world.backlog(_COMMANDS, _ACCOUNTS)
    async with AsyncExitStack() as stack:
        proxies = []
        for name in SERVICES:
            proxy, dsn = await stack.enter_async_context(proxied(world.dsn(name)))
            proxies.append(proxy)
            world.start(name, dsn=dsn)
        await until(at_least(world.stored, expected.events // 5), 30)
        for proxy in proxies:
            proxy.hold_answers()
        before = await world.stored()
        with suppress(AssertionError):
            await until(at_least(world.stored, before + 1), 1)
        for proxy in proxies:
            proxy.refuse()
        assert await world.stored() < expected.events
        # A projector that has nothing to apply has no need to notice.
        busy = [world.running(name) for name in (COMMAND_SERVICE, RELAY)]
        await asyncio.gather(*(process.ready(yes=False) for process in busy))
        await asyncio.sleep(2)
        for process in world.processes:
            assert (await process.get("/livez")).status == 200
        for proxy in proxies:
            proxy.mend()
        await asyncio.gather(*(process.ready() for process in world.processes))
        await reckon(world, expected)
    await evidence_holds(connect, expected.events)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[EmbeddedKafka]:
    """Give a broker that only this test uses."""
    kafka = EmbeddedKafka(tmp_path / "kafka")
    await kafka.start()
    yield kafka
    await kafka.stop()


async def test_a_broker_that_is_killed_and_comes_back_costs_nothing_and_needs_no_restart(
    world: World, broker: EmbeddedKafka, connect: Connect
) -> None:
    topics = world.topics
    world.kafka = broker.bootstrap
    world.outsider = Outsider(broker.bootstrap, topics.prefix, topics.partitions)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    await apply_topics(admin, topics)
    await admin.close()
    expected = await world.backlog(_COMMANDS, _ACCOUNTS)
    await world.run(*SERVICES)
    await until(at_least(world.stored, expected.events // 5), 30)
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGKILL)
    assert await world.stored() < expected.events
    await broker.stop()
    await broker.start()
    assert broker.bootstrap == world.kafka
    await reckon(world, expected)
    await evidence_holds(connect, expected.events)
