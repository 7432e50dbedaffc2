"""Reading a topic without belonging to a group: every partition, from where the reader says."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from passbook.messaging.connections import robust
from passbook.messaging.consumer import ConsumerLost, Record
from passbook.messaging.leaving import close_consumer
from passbook.messaging.security import KafkaServers, connection_options
from passbook.messaging.topics import MAX_DEAD_LETTER_RECORD, TopicMismatch
from passbook.messaging.unreachable import why_unreachable

_START_TIMEOUT_S: Final = 10.0
_LOOKS: Final = 10
_LOOK_AGAIN_S: Final = 0.1


class TopicReader:
    """Hands out the records of all partitions of a topic; commits nothing and remembers nothing.

    Reads from the beginning, or from where `seek` said before the first `poll`.
    """

    def __init__(
        self, kafka: str | KafkaServers, topic: str, *, partitions: int, client_id: str
    ) -> None:
        """Remember what to read; `start`, or an `async with` block, connects."""
        self._parts = [TopicPartition(topic, partition) for partition in range(partitions)]
        self._topic = topic
        self._kafka = kafka
        self._consumer = AIOKafkaConsumer(
            **connection_options(kafka),
            client_id=client_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_bytes=2 * MAX_DEAD_LETTER_RECORD,
            max_partition_fetch_bytes=MAX_DEAD_LETTER_RECORD,
        )
        robust(self._consumer._client)  # noqa: SLF001 - it has no name for it

    async def start(self) -> None:
        """Connect.

        Raises:
            ConsumerLost: no broker answers.
            TopicMismatch: the topic does not exist.
        """
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                await self._consumer.start()
                await self._find_topic()
        except (KafkaError, TimeoutError) as error:
            reason = await why_unreachable(error, self._kafka)
            message = f"Kafka: {reason}"
            raise ConsumerLost(message) from error

    async def _find_topic(self) -> None:
        """Everything else would wait for the topic to appear, and complain to the log meanwhile.

        A topic that was created just now may take a moment to be known to every broker.
        """
        for _ in range(_LOOKS):
            if self._topic in await self._consumer.topics():
                return
            await asyncio.sleep(_LOOK_AGAIN_S)
        message = f"missing topic: {self._topic}; create it with `passbook topics apply`"
        raise TopicMismatch(message)

    def _compare_partitions(self) -> None:
        found = self._consumer.partitions_for_topic(self._topic)
        if found and len(found) != len(self._parts):
            message = (
                f"{self._topic}: {len(found)} partitions, expected {len(self._parts)}; "
                "set PASSBOOK_TOPIC_PARTITIONS to what the ledger uses"
            )
            raise TopicMismatch(message)

    async def stop(self) -> None:
        """Disconnect, within five seconds."""
        await close_consumer(self._consumer)

    async def __aenter__(self) -> Self:
        """Start."""
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.stop()

    async def ends(self) -> dict[int, int]:
        """Return partition → the offset after its last record; 0 for an empty one.

        Raises:
            ConsumerLost: the broker does not answer.
            TopicMismatch: the topic has another number of partitions.
        """
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                ends = await self._consumer.end_offsets(self._parts)
        except (KafkaError, TimeoutError) as error:
            self._compare_partitions()
            message = f"Kafka: {error or f'no answer about the topic {self._topic}'}"
            raise ConsumerLost(message) from error
        self._compare_partitions()
        return {part.partition: offset for part, offset in ends.items()}

    async def starts(self, since: datetime | None) -> dict[int, int]:
        """Return partition → the offset of its first record since a moment (None: ever); its end when
        there is none.

        Raises:
            ConsumerLost, TopicMismatch: see `ends`.
        """
        ends = await self.ends()
        if since is None:
            return dict.fromkeys(ends, 0)
        moment_ms = int(since.timestamp() * 1000)
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                found = await self._consumer.offsets_for_times(
                    dict.fromkeys(self._parts, moment_ms)
                )
        except (KafkaError, TimeoutError) as error:
            message = f"Kafka: {error or 'no answer'}"
            raise ConsumerLost(message) from error
        return ends | {part.partition: first.offset for part, first in found.items() if first}

    def seek(self, offsets: Mapping[int, int]) -> None:
        """Read on from these offsets (partition → next offset)."""
        self._assign(offsets)
        for partition, offset in offsets.items():
            self._consumer.seek(TopicPartition(self._topic, partition), offset)

    def _assign(self, offsets: Mapping[int, int]) -> None:
        """Take the partitions. Not before it is known where to read: the client starts to fetch
        from the first partition it has.
        """
        if not self._consumer.assignment():
            self._consumer.assign(self._parts)
            for part in self._parts:
                self._consumer.seek(part, offsets.get(part.partition, 0))

    async def position(self, partition: int) -> int:
        """Return the offset that is read next.

        It can be beyond the last record that was handed out: the marks of transactions have offsets
        too, and so have the records of one that was aborted.
        """
        offset: int = await self._consumer.position(TopicPartition(self._topic, partition))
        return offset

    async def poll(
        self, timeout_s: float, partitions: Iterable[int] = ()
    ) -> dict[int, list[Record]]:
        """Return the next records of some partitions, or of all; none after the timeout.

        Raises:
            ConsumerLost: the broker does not answer.
        """
        self._assign({})
        wanted = [TopicPartition(self._topic, partition) for partition in partitions]
        try:
            batches = await self._consumer.getmany(*wanted, timeout_ms=int(timeout_s * 1000))
        except KafkaError as error:
            raise ConsumerLost(str(error)) from error
        return {part.partition: records for part, records in batches.items()}
