"""Reading a topic without belonging to a group: every partition, from where the reader says."""

import asyncio
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from passbook.messaging.consumer import ConsumerLost, Record
from passbook.messaging.topics import MAX_DEAD_LETTER_RECORD

_STOP_TIMEOUT_S: Final = 5.0


class TopicReader:
    """Hands out the records of all partitions of a topic; commits nothing and remembers nothing.

    Reads from the beginning unless `seek` says otherwise.
    """

    def __init__(self, bootstrap: str, topic: str, *, partitions: int, client_id: str) -> None:
        """Remember where to connect; the `async with` block does it."""
        self._parts = [TopicPartition(topic, partition) for partition in range(partitions)]
        self._topic = topic
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            client_id=client_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_bytes=2 * MAX_DEAD_LETTER_RECORD,
            max_partition_fetch_bytes=MAX_DEAD_LETTER_RECORD,
        )

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            ConsumerLost: no broker answers.
        """
        try:
            await self._consumer.start()
        except KafkaError as error:
            await self._consumer.stop()
            raise ConsumerLost(str(error)) from error
        self._consumer.assign(self._parts)
        for part in self._parts:
            self._consumer.seek(part, 0)
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Disconnect, within five seconds."""
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self._consumer.stop()
        except TimeoutError:
            return

    async def ends(self) -> dict[int, int]:
        """Return partition → the offset after its last record; 0 for an empty one.

        Raises:
            ConsumerLost: the broker does not answer.
        """
        try:
            ends = await self._consumer.end_offsets(self._parts)
        except KafkaError as error:
            raise ConsumerLost(str(error)) from error
        return {part.partition: offset for part, offset in ends.items()}

    def seek(self, offsets: Mapping[int, int]) -> None:
        """Read on from these offsets (partition → next offset)."""
        for partition, offset in offsets.items():
            self._consumer.seek(TopicPartition(self._topic, partition), offset)

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
        wanted = [TopicPartition(self._topic, partition) for partition in partitions]
        try:
            batches = await self._consumer.getmany(*wanted, timeout_ms=int(timeout_s * 1000))
        except KafkaError as error:
            raise ConsumerLost(str(error)) from error
        return {part.partition: records for part, records in batches.items()}
