"""A broker that goes away under a client, and one that does not let it join."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from passbook.client import BankUnreachable, PassbookClient, SubscriptionStopped, Topics
from passbook.client.testing import FakeBank
from passbook.embedded.kafka import EmbeddedKafka
from passbook.messaging.topics import TopicMismatch, apply_topics
from tests.conformance.client.stage import Stage, take
from tests.support.servers import Servers
from tests.support.topics import PARTITIONS
from tests.support.until import is_alive, until


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[EmbeddedKafka]:
    """Give a broker that only this test uses, with topics."""
    kafka = EmbeddedKafka(tmp_path / "kafka")
    await kafka.start()
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await apply_topics(admin, Topics(partitions=PARTITIONS))
    await admin.close()
    yield kafka
    await kafka.stop()


async def test_a_broker_that_is_killed_and_comes_back_costs_a_subscriber_nothing(
    broker: EmbeddedKafka,
) -> None:
    topics = Topics(partitions=PARTITIONS)
    async with PassbookClient(broker.bootstrap, topics, session_timeout=6.0) as client:
        stage = Stage(FakeBank(partitions=PARTITIONS), client, broker.bootstrap, topics)
        account_id = uuid4()
        await stage.opened(account_id)
        await stage.deposits(account_id, 4)
        async with client.subscribe(group="readers") as events:
            await take(events, 2)
            (held,) = await take(events, 1, ack=False)
            waiting = asyncio.create_task(take(events, 4))
            pid = broker.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await until(lambda: not is_alive(pid))
            await held.ack()
            await broker.stop()
            await broker.start()  # takes longer than a poll and a commit, which both fail
            await stage.deposits(account_id, 2)
            assert [event.version for event in await waiting] == [4, 5, 6, 7]
        await stage.deposits(account_id)
        async with client.subscribe(group="readers") as events:
            assert [event.version for event in await take(events, 1)] == [8]


async def test_a_group_that_shares_its_partitions_out_in_another_way_is_refused(
    servers: Servers, topics: Topics
) -> None:
    """It waits for ever, without a word, when `_read` does not poll while it has no share."""
    other = AIOKafkaConsumer(
        topics.events,
        bootstrap_servers=servers.kafka_bootstrap,
        group_id="readers",
        partition_assignment_strategy=(RangePartitionAssignor,),
    )
    await other.start()
    try:
        await until(other.assignment)
        async with (
            PassbookClient(servers.kafka_bootstrap, topics) as bank,
            bank.subscribe(group="readers") as events,
        ):
            with pytest.raises(SubscriptionStopped, match="InconsistentGroupProtocol"):
                await take(events, 1)
    finally:
        await other.stop()


async def test_a_subscription_without_a_broker_or_topic_says_so_at_once(
    servers: Servers, topics: Topics
) -> None:
    with pytest.raises(BankUnreachable):
        await anext(PassbookClient("127.0.0.1:1").subscribe(group="readers"))
    with pytest.raises(TopicMismatch, match=r"missing topic: no-such\.events"):
        await anext(
            PassbookClient(servers.kafka_bootstrap, Topics("no-such.")).subscribe(group="readers")
        )
    wrong = Topics(topics.prefix, 2 * PARTITIONS)
    with pytest.raises(TopicMismatch, match="4 partitions, expected 8"):
        await anext(PassbookClient(servers.kafka_bootstrap, wrong).subscribe(group="readers"))
