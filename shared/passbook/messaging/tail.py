"""Reading what a topic gets from now on, without a group: every reader sees everything."""

import asyncio
from types import TracebackType
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from passbook.messaging.consumer import ConsumerLost, Record
from passbook.messaging.topics import MAX_DEAD_LETTER_RECORD, TopicMismatch

_START_TIMEOUT_S: Final = 10.0
_STOP_TIMEOUT_S: Final = 5.0
_MAX_RECORDS: Final = 1000
_LOOKS: Final = 10
_LOOK_AGAIN_S: Final = 0.1


class Tail:
    """Reads all partitions of a topic from where they ended when it was first started.

    After `ConsumerLost`, `start` again: it goes on where it was, so that nothing is missed.
    """

    def __init__(self, bootstrap: str, topic: str, partitions: int, *, client_id: str) -> None:
        """Remember what to read; `start` connects."""
        self._bootstrap = bootstrap
        self._topic = topic
        self._parts = [TopicPartition(topic, number) for number in range(partitions)]
        self._client_id = client_id
        self._next: dict[TopicPartition, int] = {}
        self._consumer: AIOKafkaConsumer = None

    async def start(self) -> None:
        """Return when everything that is published from now on will be read.

        Raises:
            ConsumerLost: no broker answers.
            TopicMismatch: the topic does not exist, or has another number of partitions.
        """
        await self.stop()
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            client_id=self._client_id,
            enable_auto_commit=False,
            # Anything else would start to fetch the whole topic before it is told where to start.
            auto_offset_reset="latest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=MAX_DEAD_LETTER_RECORD,
        )
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                await self._consumer.start()
                await self._find_topic()
                self._consumer.assign(self._parts)
                # Positions are asked for now and by name: "the end" of the first fetch would be a
                # later one.
                ends = await self._consumer.end_offsets(self._parts)
        except (KafkaError, TimeoutError) as error:
            self._compare_partitions()
            message = f"Kafka: {error or 'no answer'}"
            raise ConsumerLost(message) from error
        self._compare_partitions()
        for part in self._parts:
            self._consumer.seek(part, self._next.setdefault(part, ends[part]))

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

    async def poll(self, timeout_s: float) -> list[Record]:
        """Return the next records, each partition's in order; none after the timeout.

        Raises:
            ConsumerLost: the broker reported something that reading on cannot mend.
        """
        try:
            batches = await self._consumer.getmany(
                timeout_ms=int(timeout_s * 1000), max_records=_MAX_RECORDS
            )
        except KafkaError as error:
            raise ConsumerLost(str(error)) from error
        records: list[Record] = []
        for part, batch in batches.items():
            self._next[part] = batch[-1].offset + 1
            records += batch
        return records

    async def stop(self) -> None:
        """Disconnect, within five seconds."""
        if self._consumer is None:
            return
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self._consumer.stop()
        except TimeoutError:
            return

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
