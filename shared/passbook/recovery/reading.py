"""Reading a topic from a moment on, and making a group read it again from there."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from passbook.messaging.consumer import ConsumerLost, Record, open_consumer
from passbook.messaging.reader import TopicReader
from passbook.messaging.security import KafkaServers
from passbook.messaging.topics import Topics

_CLIENT: Final = "passbook-recovery"
_POLL_S: Final = 0.2
_READ_TIMEOUT_S: Final = 30.0
_SESSION_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Reach:
    """What is read of a topic: what was published since a moment, or from these offsets on (partition →
    offset). Where one is missing, below 0 or beyond the end, or the record there is not the one that is
    meant (`proven`), it is the beginning.
    """

    topic: str
    offsets: Mapping[int, int] = field(default_factory=dict)
    since: datetime | None = None
    proven: Callable[[Record], bool] = lambda _record: True


async def records_since(
    kafka: str | KafkaServers,
    topics: Topics,
    reach: Reach,
    on_progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> AsyncIterator[list[Record]]:
    """Yield what the topic has now, in batches, each partition's records in their order.

    Raises:
        ConsumerLost, TopicMismatch: it cannot be read.
    """
    reader = TopicReader(kafka, reach.topic, partitions=topics.partitions, client_id=_CLIENT)
    async with reader:
        ends = await reader.ends()
        starts = await reader.starts(reach.since)
        unproven = {
            part: at for part, at in reach.offsets.items() if starts[part] < at < ends[part]
        }
        starts |= unproven
        reader.seek(starts)
        waiting = {part for part, end in ends.items() if starts[part] < end}
        total, done = sum(ends[part] - starts[part] for part in waiting), 0
        moved_at = time.monotonic()
        while waiting:
            batches = await reader.poll(_POLL_S, waiting)
            for part, records in batches.items():
                start = unproven.pop(part, None)
                if start is not None and not reach.proven(records[0]):
                    reader.seek({part: 0})
                    total += start
                    continue
                known = [record for record in records if record.offset < ends[part]]
                done += len(known)
                on_progress(done, total)
                yield known
            left = {part for part in waiting if await reader.position(part) < ends[part]}
            for part in (waiting - left) & unproven.keys():  # no record from there to the end
                total += unproven.pop(part)
                reader.seek({part: 0})
                left.add(part)
            if batches or left != waiting:
                moved_at = time.monotonic()
            elif time.monotonic() - moved_at > _READ_TIMEOUT_S:
                message = f"Kafka: {reach.topic} cannot be read to its end"
                raise ConsumerLost(message)
            waiting = left


async def group_goes_back(
    kafka: str | KafkaServers, topics: Topics, group: str, since: datetime | None
) -> None:
    """Let a group of the command topic, which has no members now, go on where the records since a
    moment begin (None: at the beginning), unless it is not even that far.

    Raises:
        ConsumerLost: Kafka does not answer, or refuses because the group has members.
    """
    reader = TopicReader(kafka, topics.commands, partitions=topics.partitions, client_id=_CLIENT)
    async with reader:
        starts = await reader.starts(since)
    consumer = open_consumer(
        kafka=kafka, group=group, client_id=_CLIENT, session_timeout_s=_SESSION_S
    )
    try:
        await consumer.start()
        await consumer.commit(await _earlier(consumer, topics, starts))
    except KafkaError as error:
        message = f"the group {group} cannot go back: {error}; stop the command services first"
        raise ConsumerLost(message) from error
    finally:
        await consumer.stop()


async def _earlier(
    consumer: AIOKafkaConsumer, topics: Topics, starts: Mapping[int, int]
) -> dict[TopicPartition, int]:
    parts = {TopicPartition(topics.commands, part): start for part, start in starts.items()}
    consumer.assign(list(parts))
    found = {}
    for part, start in parts.items():
        committed = await consumer.committed(part)
        found[part] = start if committed is None else min(start, committed)
    return found
