"""Clients that know only brokers that are gone. Seen before it was mended: three brokers, two of them
down for a while, then back, then the third one down: command service and balance projector stood still
for 344 s, until the third one was back, though the other two were well all the time.

Sharp: without `robust` each of these waited for ever.
"""

import asyncio

from aiokafka.client import AIOKafkaClient
from aiokafka.structs import BrokerMetadata

from passbook.embedded.ports import LOOPBACK, free_port
from passbook.messaging.group_consumer import Consumer
from passbook.messaging.producer import Producer
from passbook.messaging.reader import TopicReader
from passbook.messaging.topics import Topics
from tests.support.servers import Servers
from tests.support.until import until


async def forget(client: AIOKafkaClient) -> None:
    """Have a client know only a broker that is gone."""
    client.cluster._brokers = {9: BrokerMetadata(9, LOOPBACK, free_port(), None)}
    client.cluster._broker_partitions = {}
    for connection in list(client._conns.values()):
        await connection.close()


async def test_a_consumer_reads_on(servers: Servers, topics: Topics) -> None:
    kafka, topic = servers.kafka_bootstrap, topics.commands
    async with (
        Consumer(
            kafka, topic, group="forgetful", client_id="forgetful", max_records=10
        ) as consumer,
        Producer(kafka, client_id="other") as producer,
    ):
        await until(consumer.assigned)
        await forget(consumer._consumer._client)
        await producer.publish(topic, {0: [(None, b"still here", [])]})
        records: dict[int, list[object]] = {}

        async def read() -> bool:
            records.update(await consumer.poll(0.1))
            return bool(records)

        await until(read)
        await consumer.processed({0: 1})


async def test_a_producer_publishes_on(servers: Servers, topics: Topics) -> None:
    async with Producer(servers.kafka_bootstrap, client_id="forgetful") as producer:
        await producer.publish(topics.commands, {0: [(None, b"first", [])]})
        await forget(producer._producer.client)

        async with asyncio.timeout(10):
            done = await producer.publish(topics.commands, {0: [(None, b"second", [])]})

        assert done == {0: 1}


async def test_a_reader_reads_on(servers: Servers, topics: Topics) -> None:
    kafka, topic = servers.kafka_bootstrap, topics.commands
    async with (
        TopicReader(kafka, topic, partitions=topics.partitions, client_id="forgetful") as reader,
        Producer(kafka, client_id="other") as producer,
    ):
        assert not await reader.poll(0.1)
        await forget(reader._consumer._client)
        await producer.publish(topic, {0: [(None, b"still here", [])]})

        async def read() -> bool:
            return bool(await reader.poll(0.1))

        await until(read)


async def test_what_is_known_of_topics_stays(servers: Servers, topics: Topics) -> None:
    """Seen to fail with `AIOKafkaClient.bootstrap`, after which no topic is known: consumers whose
    connection had just expired took their topic for deleted, and began anew.
    """
    kafka, topic = servers.kafka_bootstrap, topics.commands
    async with Consumer(
        kafka, topic, group="knowing", client_id="knowing", max_records=10
    ) as consumer:
        await until(consumer.assigned)
        client = consumer._consumer._client
        seen: list[set[int] | None] = []
        client.cluster.add_listener(lambda known: seen.append(known.partitions_for_topic(topic)))

        await forget(client)
        assert await client.force_metadata_update()
        assert client.cluster.broker_metadata(9) is None

        client._bootstrap_servers = f"{LOOPBACK}:{free_port()}"
        await forget(client)
        assert not await client.force_metadata_update()
        assert client.cluster.broker_metadata(9) is not None

        everything = set(range(topics.partitions))
        assert client.cluster.partitions_for_topic(topic) == everything
        assert seen
        assert all(known == everything for known in seen)
