"""A member of a group that decides itself where to start, and keeps a note with every offset.

Kafka stores a text with each committed offset. Whoever keeps there what it has done can tell, when
it gets the partition again, whether anybody else has gone on with it meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    InconsistentGroupProtocolError,
    InvalidGroupIdError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import OffsetAndMetadata

from passbook.messaging.connections import robust
from passbook.messaging.consumer import ConsumerLost, Record, open_consumer
from passbook.messaging.leaving import close_consumer
from passbook.messaging.security import KafkaServers, connection_options
from passbook.messaging.topics import TopicMismatch
from passbook.messaging.unreachable import why_unreachable

_TIMEOUT_S: Final = 10.0
_LOOKS: Final = 10
_LOOK_AGAIN_S: Final = 0.1
_NEVER_MS: Final = 2**31 - 1
_NO_OFFSET: Final = -1


_REFUSALS: Final = (
    GroupAuthorizationFailedError,
    InconsistentGroupProtocolError,
    InvalidGroupIdError,
    TopicAuthorizationFailedError,
)


class Refused(Exception):
    """The broker does not let this member join, or read: to try again is of no use."""


class Note(NamedTuple):
    """What is stored of a partition: the next offset, and what the reader wants to know then."""

    offset: int
    text: str


class Share(NamedTuple):
    """The partitions that a member works on until they are shared out anew."""

    generation: int
    partitions: frozenset[int]


class Member(ConsumerRebalanceListener):  # type: ignore[misc]
    """Reads the partitions of a topic that the group gives to it.

    `shared` is called when partitions were given; `revoked` is awaited before they are given away,
    and may `commit` for the last time.
    """

    def __init__(  # noqa: PLR0913 - what a member needs to know
        self,
        kafka: str | KafkaServers,
        topic: str,
        partitions: int,
        *,
        group: str,
        client_id: str,
        session_timeout_s: float,
        max_records: int,
        shared: Callable[[], None],
        revoked: Callable[[], Awaitable[None]],
    ) -> None:
        """Remember where to connect; `start` does it."""
        self._kafka = kafka
        self._topic = topic
        self._partitions = partitions
        self._group = group
        self._max_records = max_records
        self._shared = shared
        self._revoked = revoked
        self._generation = 0
        self._share: Share | None = None
        # How long somebody works on an event is nobody's business here: that this process lives is
        # what the heartbeat says.
        self._consumer = open_consumer(
            kafka=kafka,
            group=group,
            client_id=client_id,
            session_timeout_s=session_timeout_s,
            max_poll_interval_ms=_NEVER_MS,
            rebalance_timeout_ms=int(session_timeout_s * 1000),
        )

    async def start(self) -> None:
        """Connect and begin to join the group; `shared` says when that is done.

        Raises:
            ConsumerLost: no broker answers.
            TopicMismatch: the topic does not exist, or has another number of partitions.
        """
        try:
            await self._find_topic()
            async with asyncio.timeout(_TIMEOUT_S):
                await self._consumer.start()
        except BaseException as error:
            await self.stop()  # a client that did not start leaves connections and tasks behind
            if isinstance(error, KafkaError | TimeoutError):
                raise _lost(error, await why_unreachable(error, self._kafka)) from error
            raise
        self._consumer.subscribe([self._topic], listener=self)

    async def _find_topic(self) -> None:
        """Everything else would wait for the topic to appear.

        A topic that was created just now may take a moment to be known to every broker.
        """
        found = 0
        async with _admin(self._kafka) as admin:
            for _ in range(_LOOKS):
                (topic,) = await admin.describe_topics([self._topic])
                if found := 0 if topic["error_code"] else len(topic["partitions"]):
                    break
                await asyncio.sleep(_LOOK_AGAIN_S)
        if not found:
            message = f"missing topic: {self._topic}; create it with `passbook topics apply`"
            raise TopicMismatch(message)
        if found != self._partitions:
            message = f"{self._topic}: {found} partitions, expected {self._partitions}"
            raise TopicMismatch(message)

    async def stop(self) -> None:
        """Leave the group and disconnect, within five seconds."""
        await close_consumer(self._consumer)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Keep nothing; called by the client before partitions are shared out anew."""
        del revoked
        self._generation += 1
        self._share = None
        await self._revoked()

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Say so; called by the client, perhaps after the first records were handed out."""
        self._share = Share(self._generation, frozenset(part.partition for part in assigned))
        self._shared()

    def share(self) -> Share | None:
        """Return what this member works on; None while that is being decided."""
        return self._share

    async def committed(self, partitions: Iterable[int]) -> dict[int, Note]:
        """Return what is stored of these partitions; nothing of those that have nothing.

        Raises:
            ConsumerLost: no answer.
        """
        # The consumer itself tells only the offset.
        try:
            async with _admin(self._kafka) as admin:
                found = await admin.list_consumer_group_offsets(
                    self._group, partitions=self._parts(partitions)
                )
        except (KafkaError, TimeoutError) as error:
            raise _lost(error) from error
        return {
            part.partition: Note(note.offset, note.metadata or "")
            for part, note in found.items()
            if note.offset != _NO_OFFSET
        }

    async def ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return partition → the offset after its last record.

        Raises:
            ConsumerLost: no answer.
        """
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                ends = await self._consumer.end_offsets(self._parts(partitions))
        except (KafkaError, TimeoutError) as error:
            raise _lost(error) from error
        return {part.partition: offset for part, offset in ends.items()}

    def seek(self, offsets: Mapping[int, int]) -> None:
        """Read on from here. A partition that is not ours any more is left alone."""
        for partition, offset in offsets.items():
            try:
                self._consumer.seek(TopicPartition(self._topic, partition), offset)
            except IllegalStateError:
                continue

    async def poll(
        self, partitions: Iterable[int], timeout_s: float
    ) -> tuple[int, dict[int, list[Record]]]:
        """Return the next records of these partitions, and in which generation they were read:
        those of a former one are of no use.

        Raises:
            ConsumerLost: the broker reported something that reading on cannot mend.
            Refused: it does not let this member join.
        """
        try:
            batches = await self._consumer.getmany(
                *self._parts(partitions),
                timeout_ms=int(timeout_s * 1000),
                max_records=self._max_records,
            )
        except KafkaError as error:
            raise _lost(error) from error
        if not batches and self._consumer.partitions_for_topic(self._topic) is None:
            # The client would wait for it to come back, for minutes and without a word.
            message = f"Kafka has no topic {self._topic} any more"
            raise ConsumerLost(message)
        records = {part.partition: records for part, records in batches.items()}
        return self._generation, records

    async def commit(self, notes: Mapping[int, Note]) -> bool:
        """Store these notes; return False when the partitions are being shared out anew.

        Raises:
            ConsumerLost: no answer.
        """
        offsets = {
            TopicPartition(self._topic, partition): OffsetAndMetadata(*note)
            for partition, note in notes.items()
        }
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError):
            return False
        except (KafkaError, TimeoutError) as error:
            raise _lost(error) from error
        return True

    def _parts(self, partitions: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition) for partition in partitions]


@asynccontextmanager
async def _admin(kafka: str | KafkaServers) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**connection_options(kafka))
    robust(admin._client)  # noqa: SLF001 - it has no name for it
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await admin.start()
            yield admin
    finally:
        await admin.close()


def _lost(error: BaseException, reason: str = "") -> ConsumerLost | Refused:
    kind = Refused if isinstance(error, _REFUSALS) else ConsumerLost
    return kind(f"Kafka: {reason or str(error) or 'no answer'}")
