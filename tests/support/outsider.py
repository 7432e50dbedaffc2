"""A foreign client of the topics: plain aiokafka and json, nothing of ours."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, Self
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.structs import RecordMetadata

_LARGEST: Final = 16 * 1024 * 1024
_ANSWER_S: Final = 20.0

Header = tuple[str, bytes | None]


class RawName(str):
    """The name of a header that is sent as it is, though it is no UTF-8: clients in C do that."""

    __slots__ = ("_raw",)
    _raw: bytes

    def __new__(cls, raw: bytes) -> Self:
        """Look like the name with its odd bytes escaped."""
        return super().__new__(cls, raw.decode("utf-8", "backslashreplace"))

    def __init__(self, raw: bytes) -> None:
        """Keep the bytes."""
        self._raw = raw

    def encode(self, *_: object) -> bytes:
        """Return the bytes, whatever encoding is asked for."""
        return self._raw


class Message(NamedTuple):
    """What is sent, by whatever rules. `partition` None: where the client's partitioner says;
    `timestamp_ms` None: now.
    """

    key: bytes | None
    value: bytes | None
    headers: list[Header]
    partition: int | None = None
    timestamp_ms: int | None = None

    @property
    def command_id(self) -> str:
        """The last `ce_id`, as text."""
        return (dict(self.headers).get("ce_id") or b"").decode("utf-8", "replace")


def command(kind: str, account_id: str, command_id: str = "", **data: object) -> Message:
    """Return a command as the README describes it, with an id of its own unless one is given."""
    return Message(
        account_id.encode(),
        json.dumps({"account_id": account_id, **data}).encode(),
        [
            ("ce_specversion", b"1.0"),
            ("ce_id", (command_id or str(uuid4())).encode()),
            ("ce_type", f"bank.{kind}".encode()),
            ("ce_source", b"/an/outsider"),
            ("content-type", b"application/json"),
        ],
    )


class Outsider:
    """Sends to and reads from the topics with a prefix."""

    def __init__(self, bootstrap: str, prefix: str, partitions: int) -> None:
        """Remember where they are."""
        self.bootstrap = bootstrap
        self.prefix = prefix
        self._partitions = partitions

    @asynccontextmanager
    async def producer(self, **settings: Any) -> AsyncIterator[AIOKafkaProducer]:
        """Open a producer; by default one that takes messages of up to 16 MB."""
        settings = {"max_request_size": _LARGEST} | settings
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all", **settings)
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    async def send(
        self, *messages: Message, topic: str = "commands", **settings: Any
    ) -> list[RecordMetadata]:
        """Publish messages, one after another in their order; return where they are."""
        async with self.producer(**settings) as producer:
            sent = [await _send(producer, self.prefix + topic, message) for message in messages]
            return [await acknowledged for acknowledged in sent]

    async def everything(self, topic: str) -> list[ConsumerRecord]:
        """Return what a topic has now, each partition's records in their order."""
        return [record async for record in self._read(topic, follow=False)]

    async def outcomes(
        self, command_ids: Iterable[str], copies: int = 1
    ) -> dict[str, list[ConsumerRecord]]:
        """Return command id → its outcomes, waiting until each of these commands has `copies`."""
        found: dict[str, list[ConsumerRecord]] = {command_id: [] for command_id in command_ids}
        try:
            async with asyncio.timeout(_ANSWER_S):
                async for record in self._read("outcomes", follow=True):
                    found.get(header(record, "ce_commandid"), []).append(record)
                    if all(len(records) >= copies for records in found.values()):
                        break
        except TimeoutError:
            missing = [name for name, records in found.items() if len(records) < copies]
            message = f"no outcome within {_ANSWER_S} s: {missing}"
            raise AssertionError(message) from None
        return found

    async def first(
        self, topic: str, condition: Callable[[ConsumerRecord], bool], deadline_s: float = _ANSWER_S
    ) -> ConsumerRecord:
        """Return the first record of a topic that fulfils a condition, waiting for it."""
        async with asyncio.timeout(deadline_s):
            async for record in self._read(topic, follow=True):
                if condition(record):
                    return record
        raise AssertionError

    @asynccontextmanager
    async def watched(self, topic: str) -> AsyncIterator[Callable[[], Awaitable[int]]]:
        """Give a function that returns how many records a topic has at the moment."""
        consumer, parts = await self._consumer(topic)

        async def count() -> int:
            return sum((await consumer.end_offsets(parts)).values())

        try:
            yield count
        finally:
            await consumer.stop()

    async def commit_ends(self, topic: str, group: str) -> None:
        """Make a group believe that it has read everything."""
        consumer, parts = await self._consumer(topic, group_id=self.prefix + group)
        try:
            await consumer.commit(await consumer.end_offsets(parts))
        finally:
            await consumer.stop()

    async def _consumer(
        self, topic: str, **settings: Any
    ) -> tuple[AIOKafkaConsumer, list[TopicPartition]]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=_LARGEST,
            fetch_max_bytes=_LARGEST,
            **settings,
        )
        await consumer.start()
        parts = [TopicPartition(self.prefix + topic, part) for part in range(self._partitions)]
        consumer.assign(parts)
        return consumer, parts

    async def _read(self, topic: str, *, follow: bool) -> AsyncIterator[ConsumerRecord]:
        consumer, parts = await self._consumer(topic)
        try:
            left = sum((await consumer.end_offsets(parts)).values())
            await consumer.seek_to_beginning(*parts)
            while follow or left > 0:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    left -= len(records)
                    for record in records:
                        yield record
        finally:
            await consumer.stop()


async def _send(
    producer: AIOKafkaProducer, topic: str, message: Message
) -> asyncio.Future[RecordMetadata]:
    key, value, headers, partition, timestamp_ms = message
    sent: asyncio.Future[RecordMetadata]
    raw = any(isinstance(name, RawName) for name, _ in headers)
    if not raw and (key is not None or value is not None):
        sent = await producer.send(
            topic,
            key=key,
            value=value,
            headers=headers,
            partition=partition,
            timestamp_ms=timestamp_ms,
        )
        return sent
    # The client does not let these through, Kafka does.
    batch = producer.create_batch()
    if raw:
        batch._builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, 0, _LARGEST)
    batch.append(key=key, value=value, timestamp=None, headers=headers)
    batch.close()
    sent = await producer.send_batch(batch, topic, partition=partition or 0)
    return sent


def header(record: ConsumerRecord, name: str) -> str:
    """Return a header as text; an empty one when it is missing."""
    return (dict(record.headers).get(name) or b"").decode("utf-8", "replace")


def document(record: ConsumerRecord) -> dict[str, Any]:
    """Return the JSON object of a record."""
    loaded: dict[str, Any] = json.loads(record.value)
    return loaded


def error_code(outcome: ConsumerRecord) -> str:
    """Return the code of an outcome's error, "accepted" when it has none."""
    error = document(outcome)["error"]
    return str(error["code"]) if error else "accepted"
