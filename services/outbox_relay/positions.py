"""How far the log is in Kafka: the tail of each partition is the truth, the table only a hint that
saves reading the whole topic at every start.
"""

from collections.abc import Collection, Mapping
from typing import Final

import asyncpg

from passbook.domain.slots import SLOT_COUNT, partition_of
from passbook.eventstore.pool import FAILURES, lent
from passbook.eventstore.translation import translate
from passbook.messaging.log_tail import Hint, Tail, read_tails
from passbook.messaging.security import KafkaServers
from passbook.messaging.topics import Topics
from passbook.recovery.ahead import relay_hints

_WRITE: Final = """
INSERT INTO eventstore.relay_positions AS r (slot, published_seq, partition, kafka_offset, topic)
SELECT *, $5 FROM unnest($1::smallint[], $2::bigint[], $3::integer[], $4::bigint[])
    ON CONFLICT (slot) DO UPDATE SET published_seq = excluded.published_seq,
       partition = excluded.partition, kafka_offset = excluded.kafka_offset,
       topic = excluded.topic, updated_at = clock_timestamp()
 WHERE (r.published_seq, r.partition, r.kafka_offset, r.topic)
       IS DISTINCT FROM
       (excluded.published_seq, excluded.partition, excluded.kafka_offset, excluded.topic)
   -- Not backwards by somebody who was frozen meanwhile, unless records are gone.
   AND (excluded.kafka_offset >= r.kafka_offset OR excluded.kafka_offset < 0
        OR (excluded.partition, excluded.topic) <> (r.partition, r.topic))
"""
_TIMEOUT_S: Final = 10.0
_UNKNOWN: Final = -1


class RelayPositions:
    """Reads and writes the hints, and reads the tails."""

    def __init__(self, pool: asyncpg.Pool, kafka: str | KafkaServers, topics: Topics) -> None:
        """Take the pool and where the topic is."""
        self._pool = pool
        self._kafka = kafka
        self._topics = topics

    async def hints(self) -> dict[int, Hint]:
        """Return the stored hint of each slot that has one for this topic.

        Raises:
            StoreUnavailable: no answer.
        """
        return await relay_hints(self._pool, self._topics)

    async def save(
        self,
        published: Mapping[int, int],
        offsets: Mapping[int, int],
        halted: Collection[int] = (),
    ) -> None:
        """Store a hint for the slots of every partition in `offsets` (partition → last offset, or
        -1: read it from the beginning).

        Whoever comes next must see the last event of a `halted` slot itself, and not be told its
        number only: the store may have reached that number again by then, with another event. So
        the hint of its partition leads to the beginning.

        Raises:
            StoreUnavailable: no answer.
        """
        partitions = self._topics.partitions
        doubted = {partition_of(slot, partitions) for slot in halted}
        offsets = {**offsets, **dict.fromkeys(doubted, _UNKNOWN)}
        rows = [
            (slot, published[slot], partition, offsets[partition])
            for slot in range(SLOT_COUNT)
            if (partition := partition_of(slot, partitions)) in offsets
        ]
        if not rows:
            return
        try:
            async with lent(self._pool, _TIMEOUT_S) as connection:
                await connection.execute(_WRITE, *zip(*rows, strict=True), self._topics.events)
        except FAILURES as error:
            translate(error)

    async def tails(
        self, hints: Mapping[int, Hint], partitions: Collection[int]
    ) -> dict[int, Tail]:
        """Return the last event in Kafka of each slot of these partitions.

        Raises:
            ConsumerLost: Kafka does not answer.
        """
        return await read_tails(
            self._kafka, self._topics, hints, partitions, client_id="outbox-relay-tail"
        )
