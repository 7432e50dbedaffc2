"""A group's committed offsets say what is left to do, whoever asks: lag tools, autoscalers.

All but that of members that come and go were seen to fail with `due` returning what was processed
(as it was before), and the last two with `due` returning the positions.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from passbook.messaging.group_consumer import Consumer, next_offsets
from passbook.messaging.producer import Producer
from passbook.messaging.topics import Topics
from passbook.telemetry import CONSUMER_PARTITIONS, CONSUMER_REBALANCES
from tests.support.servers import Servers
from tests.support.topics import PARTITIONS
from tests.support.until import until

_SOON_S = 3.0
"""About a second is promised; the machine that runs the tests may be busy."""


class Group:
    """A group on one topic, its members, and what an outsider sees of its offsets."""

    def __init__(self, kafka: str, topic: str, admin: AIOKafkaAdminClient) -> None:
        self.topic = topic
        self._kafka = kafka
        self._name = topic
        self._admin = admin

    async def publish(self, counts: dict[int, int]) -> None:
        async with Producer(self._kafka, client_id="test") as producer:
            await producer.publish(
                self.topic, {part: [(b"k", b"v", [])] * count for part, count in counts.items()}
            )

    def member(self) -> Consumer:
        return Consumer(
            self._kafka,
            self.topic,
            group=self._name,
            client_id="test",
            max_records=100,
            session_timeout_s=6,
        )

    async def committed(self) -> dict[int, int]:
        found = await self._admin.list_consumer_group_offsets(
            self._name, partitions=[TopicPartition(self.topic, p) for p in range(PARTITIONS)]
        )
        return {part.partition: note.offset for part, note in found.items()}

    def says(self, *offsets: int) -> Callable[[], object]:
        async def said() -> bool:
            return await self.committed() == dict(enumerate(offsets))

        return said


@pytest.fixture
def group(servers: Servers, topics: Topics, kafka_admin: AIOKafkaAdminClient) -> Group:
    return Group(servers.kafka_bootstrap, topics.commands, kafka_admin)


@asynccontextmanager
async def working(consumer: Consumer) -> AsyncIterator[None]:
    """Have a member that takes everything and is done with it at once, as the projectors do."""

    async def work() -> None:
        while True:
            batches = await consumer.poll(0.5)
            await consumer.processed(next_offsets(batches))

    async with consumer:
        task = asyncio.create_task(work())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_partition_that_never_had_a_record_has_an_offset(group: Group) -> None:
    async with working(group.member()):
        await until(group.says(0, 0, 0, 0), _SOON_S)


async def test_after_a_burst_everything_is_committed_although_nothing_follows(
    group: Group,
) -> None:
    async with working(group.member()):
        await group.publish({0: 250, 2: 3})
        await until(group.says(250, 0, 3, 0), _SOON_S)
        await group.publish({0: 1})
        await until(group.says(251, 0, 3, 0), _SOON_S)


async def test_the_mark_that_ends_a_transaction_is_not_left_to_do(
    group: Group, servers: Servers
) -> None:
    async with (
        AIOKafkaProducer(
            bootstrap_servers=servers.kafka_bootstrap, transactional_id=group.topic
        ) as producer,
        producer.transaction(),
    ):
        await producer.send(group.topic, b"v", partition=1)
    async with working(group.member()):
        await until(group.says(0, 2, 0, 0), _SOON_S)


async def test_offsets_are_true_while_members_come_and_go(group: Group) -> None:
    rebalances = CONSUMER_REBALANCES.labels(group.topic)
    partitions = CONSUMER_PARTITIONS.labels(group.topic)
    async with working(group.member()):
        assert partitions._value.get() == PARTITIONS
        await group.publish(dict.fromkeys(range(PARTITIONS), 10))
        async with working(group.member()):
            await group.publish(dict.fromkeys(range(PARTITIONS), 10))
            await until(group.says(20, 20, 20, 20), 2 * _SOON_S)
            assert partitions._value.get() < PARTITIONS
        await group.publish({3: 1})
        await until(group.says(20, 20, 20, 21), 2 * _SOON_S)
    assert rebalances._value.get() >= 3
    assert partitions._value.get() == 0
    async with working(group.member()):
        await group.publish({1: 1})
        await until(group.says(20, 21, 20, 21), _SOON_S)


async def test_what_was_handed_out_is_not_committed_before_it_is_done_with(group: Group) -> None:
    await group.publish({0: 5, 1: 5})
    async with group.member() as consumer:
        taken: dict[int, int] = {}
        while taken != {0: 5, 1: 5}:
            taken |= next_offsets(await consumer.poll(0.5))
        await consumer.processed({0: 5, 1: 2})
        await consumer.flush()
        assert await group.committed() == {0: 5, 1: 2, 2: 0, 3: 0}
        await consumer.flush()
        assert await group.committed() == {0: 5, 1: 2, 2: 0, 3: 0}
        await consumer.processed({1: 5})
        await consumer.flush()
        assert await group.committed() == {0: 5, 1: 5, 2: 0, 3: 0}


async def test_a_held_partition_stays_in_front_of_the_record_that_waits(group: Group) -> None:
    await group.publish({2: 5})
    async with group.member() as consumer:
        while not await consumer.poll(0.5):
            pass
        consumer.hold({2: 3})
        await consumer.processed({2: 3})
        assert await consumer.poll(0.1) == {}
        await consumer.flush()
        assert await group.committed() == {0: 0, 1: 0, 2: 3, 3: 0}
        consumer.release([2])
        while not (batches := await consumer.poll(0.5)):
            pass
        await consumer.flush()
        assert await group.committed() == {0: 0, 1: 0, 2: 3, 3: 0}
        await consumer.processed(next_offsets(batches))
        await consumer.flush()
        assert await group.committed() == {0: 0, 1: 0, 2: 5, 3: 0}
