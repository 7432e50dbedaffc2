"""A member of a consumer group that works on what it is given, and tells the group how far it is."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from passbook.messaging.consumer import ConsumerLost, Record, open_consumer
from passbook.messaging.group_offsets import GroupOffsets
from passbook.messaging.leaving import close_consumer
from passbook.messaging.security import KafkaServers
from passbook.messaging.unreachable import why_unreachable
from passbook.telemetry import CONSUMER_COMMITS_FAILED

_GATHER_BYTES: Final = 256 * 1024
_COMMIT_EVERY_S: Final = 0.5
_POSITIONS_S: Final = 0.1
_ENDS_S: Final = 2.0


class Consumer:
    """A member of a consumer group that commits only what it is told was processed.

    Group membership decides who usually works on a partition, never who may: two members may see
    the same record, and whatever is done with it must be fenced elsewhere.
    """

    def __init__(  # noqa: PLR0913 - what a consumer needs to know
        self,
        kafka: str | KafkaServers,
        topic: str,
        *,
        group: str,
        client_id: str,
        max_records: int,
        session_timeout_s: float = 30.0,
        gather_s: float = 0.0,
    ) -> None:
        """Remember where to connect; `start` does it.

        With `gather_s` the broker holds records back for so long, or until there are many: fewer
        requests, later answers.
        """
        self.topic = topic
        self._kafka = kafka
        self._max_records = max_records
        self._offsets = GroupOffsets(topic)
        self._committed_at = 0.0
        self._consumer = open_consumer(
            kafka=kafka,
            group=group,
            client_id=client_id,
            session_timeout_s=session_timeout_s,
            max_poll_interval_ms=300_000,
            max_poll_records=max_records,
            fetch_min_bytes=_GATHER_BYTES if gather_s else 1,
            fetch_max_wait_ms=int(gather_s * 1000) or 500,
        )
        self._consumer.subscribe([topic], listener=self._offsets)

    async def start(self) -> None:
        """Join the group.

        Raises:
            ConsumerLost: no broker answers.
        """
        try:
            await self._consumer.start()
        except BaseException as error:
            await self.stop()  # a client that did not start leaves connections and tasks behind
            if isinstance(error, KafkaError):
                raise ConsumerLost(await why_unreachable(error, self._kafka)) from error
            raise

    async def stop(self) -> None:
        """Leave the group, within five seconds."""
        self._offsets.left()
        await close_consumer(self._consumer)

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.stop()

    def assigned(self) -> frozenset[int]:
        """Return the partitions that this member works on now."""
        return frozenset(partition.partition for partition in self._consumer.assignment())

    async def poll(self, timeout_s: float) -> dict[int, list[Record]]:
        """Return the next records by partition, each partition's in order; none after the timeout.

        Raises:
            ConsumerLost: the broker reported something that reading on cannot mend.
        """
        try:
            batches = await self._consumer.getmany(
                timeout_ms=int(timeout_s * 1000), max_records=self._max_records
            )
        except BaseException as error:
            # What it had taken of other partitions by then is dropped.
            self._offsets.doubted()
            if isinstance(error, KafkaError):
                raise ConsumerLost(str(error)) from error
            raise
        if not batches and self._consumer.partitions_for_topic(self.topic) is None:
            # The client would wait for it to come back, for minutes and without a word.
            message = f"Kafka has no topic {self.topic} any more"
            raise ConsumerLost(message)
        records = {partition.partition: found for partition, found in batches.items()}
        self._offsets.handed_out(records)
        return records

    async def caught_up(self, partitions: Iterable[int]) -> frozenset[int]:
        """Return those of these partitions of which everything that the broker has was handed out.

        Takes as long as a fetch waits for records, half a second, when there are none. None is when
        the broker does not tell within two seconds.
        """
        wanted = [TopicPartition(self.topic, partition) for partition in partitions]
        try:
            async with asyncio.timeout(_ENDS_S):
                ends = await self._consumer.end_offsets(wanted)
                return frozenset(
                    [
                        part.partition
                        for part in wanted
                        if await self._consumer.position(part) >= ends[part]
                    ]
                )
        except (KafkaError, IllegalStateError, TimeoutError):
            return frozenset()

    def hold(self, offsets: Mapping[int, int]) -> None:
        """Hand out nothing more of these partitions until they are released, and go on then at
        these offsets (partition → offset). A partition that is assigned anew is not held any more.
        """
        for partition, offset in offsets.items():
            part = TopicPartition(self.topic, partition)
            if part in self._consumer.assignment():
                self._consumer.pause(part)
                self._consumer.seek(part, offset)
                self._offsets.held_back(partition, offset)

    def release(self, partitions: Iterable[int]) -> None:
        """Go on with partitions that were held."""
        for partition in partitions:
            part = TopicPartition(self.topic, partition)
            if part in self._consumer.assignment():
                self._consumer.resume(part)

    async def processed(self, next_offsets: Mapping[int, int]) -> None:
        """Take note that everything before these offsets (partition → offset) is done with; the
        group is told twice a second, because every commit is a request. To be called about as
        often, also with nothing: where all is done, the group is told that, too.

        Raises:
            ConsumerLost: the broker refused.
        """
        self._offsets.processed(next_offsets)
        if time.monotonic() - self._committed_at > _COMMIT_EVERY_S:
            await self.flush()

    async def flush(self) -> None:
        """Tell the group where it would start again.

        Advisory. A commit that comes too late, after a rebalance, is not an error: whoever has the
        partition now will see the records again and recognise them.
        """
        self._committed_at = time.monotonic()
        generation = self._offsets.generation
        offsets = self._offsets.due(await self._positions(), generation)
        if not offsets:
            return
        try:
            await self._consumer.commit(
                {TopicPartition(self.topic, partition): at for partition, at in offsets.items()}
            )
        except (CommitFailedError, IllegalStateError):
            CONSUMER_COMMITS_FAILED.labels(self.topic).inc()
        except KafkaError as error:
            CONSUMER_COMMITS_FAILED.labels(self.topic).inc()
            raise ConsumerLost(str(error)) from error
        else:
            if generation == self._offsets.generation:
                self._offsets.committed(offsets)

    async def _positions(self) -> dict[int, int]:
        """Return where reading goes on, of the partitions of which that is settled. One without a
        leader has no place, and is waited for.
        """
        found: dict[int, int] = {}
        with suppress(IllegalStateError, KafkaError, TimeoutError):
            async with asyncio.timeout(_POSITIONS_S):
                for partition in self.assigned():
                    part = TopicPartition(self.topic, partition)
                    found[partition] = await self._consumer.position(part)
        return found


def next_offsets(batches: Mapping[int, list[Record]]) -> dict[int, int]:
    """Return partition → the offset after the last record of a poll."""
    return {partition: records[-1].offset + 1 for partition, records in batches.items()}
