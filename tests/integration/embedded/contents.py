"""Leaves something in the servers, and looks whether it is still there."""

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

TOPIC = "kept"


async def write_row(dsn: str) -> None:
    """Commit one row."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
        await connection.execute("INSERT INTO kept VALUES (1)")
    finally:
        await connection.close()


async def count_rows(dsn: str) -> int:
    """Return how many rows there are."""
    connection = await asyncpg.connect(dsn)
    try:
        count: int = await connection.fetchval("SELECT count(*) FROM kept")
        return count
    finally:
        await connection.close()


async def write_record(bootstrap: str, value: bytes = b"kept") -> None:
    """Have one record acknowledged, in a topic that takes records of 8 MiB."""
    limit = 8 * 1024 * 1024
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        topic = NewTopic(TOPIC, 1, 1, topic_configs={"max.message.bytes": str(limit)})
        await admin.create_topics([topic])
    finally:
        await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=limit)
    await producer.start()
    try:
        await producer.send_and_wait(TOPIC, value)
    finally:
        await producer.stop()


async def read_record(bootstrap: str) -> bytes:
    """Return the first record."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, max_partition_fetch_bytes=16 * 1024 * 1024
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(TOPIC, 0)])
        await consumer.seek_to_beginning()
        value: bytes = (await consumer.getone()).value
        return value
    finally:
        await consumer.stop()
