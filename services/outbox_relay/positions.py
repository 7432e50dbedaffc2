"""How far the log is in Kafka: the tail of each partition is the truth, the table only a hint that
saves reading the whole topic at every start.
"""

import time
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

import asyncpg

from passbook.domain.slots import SLOT_COUNT, partition_of
from passbook.eventstore.pool import FAILURES, lent
from passbook.eventstore.translation import translate
from passbook.messaging.consumer import ConsumerLost, Record
from passbook.messaging.reader import TopicReader
from passbook.messaging.security import KafkaServers
from passbook.messaging.topics import Topics

_READ: Final = """
SELECT slot, published_seq, partition, kafka_offset FROM eventstore.relay_positions
 WHERE topic IN ('', $1)
"""
_WRITE: Final = """
INSERT INTO eventstore.relay_positions AS r (slot, published_seq, partition, kafka_offset, topic)
SELECT *, $5 FROM unnest($1::smallint[], $2::bigint[], $3::integer[], $4::bigint[])
    ON CONFLICT (slot) DO UPDATE SET published_seq = excluded.published_seq,
       partition = excluded.partition, kafka_offset = excluded.kafka_offset,
       topic = excluded.topic, updated_at = clock_timestamp()
 WHERE (r.published_seq, r.partition, r.kafka_offset, r.topic)
       IS DISTINCT FROM
       (excluded.published_seq, excluded.partition, excluded.kafka_offset, excluded.topic)
"""
_READ_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.2
_TIMEOUT_S: Final = 10.0


class Hint(NamedTuple):
    """What the table says of one slot: everything up to `published_seq` was acknowledged when the
    newest record of its partition was the one at `kafka_offset`.
    """

    published_seq: int
    partition: int
    kafka_offset: int


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
        try:
            async with lent(self._pool, _TIMEOUT_S) as connection:
                rows = await connection.fetch(_READ, self._topics.events)
                return {row[0]: Hint(*row[1:]) for row in rows}
        except FAILURES as error:
            translate(error)

    async def save(self, published: Mapping[int, int], offsets: Mapping[int, int]) -> None:
        """Store a hint for the slots of every partition in `offsets` (partition → last offset, or
        -1: read it from the beginning).

        Raises:
            StoreUnavailable: no answer.
        """
        rows = [
            (slot, published[slot], partition, offsets[partition])
            for slot in range(SLOT_COUNT)
            if (partition := partition_of(slot, self._topics.partitions)) in offsets
        ]
        if not rows:
            return
        try:
            async with lent(self._pool, _TIMEOUT_S) as connection:
                await connection.execute(_WRITE, *zip(*rows, strict=True), self._topics.events)
        except FAILURES as error:
            translate(error)

    async def tails(self, hints: Mapping[int, Hint], partitions: Collection[int]) -> dict[int, int]:
        """Return the number of the last event in Kafka of each slot of these partitions; 0 for none.

        Reads each partition from its hint to the end, and from the beginning when the record at
        the hint is not the one that was acknowledged there.

        Raises:
            ConsumerLost: Kafka does not answer.
        """
        reader = TopicReader(
            self._kafka,
            self._topics.events,
            partitions=self._topics.partitions,
            client_id="outbox-relay-tail",
        )
        async with reader:
            return await self._read_tails(reader, hints, partitions)

    async def _read_tails(
        self, reader: TopicReader, hints: Mapping[int, Hint], partitions: Collection[int]
    ) -> dict[int, int]:
        everywhere = await reader.ends()
        ends = {partition: everywhere[partition] for partition in partitions}
        # Partition → slot → number; and the offset whose record tells whether the hint fits.
        tails: dict[int, dict[int, int]] = {partition: {} for partition in ends}
        unproven: dict[int, int] = {}
        for partition, end in ends.items():
            offset, published = _agreed(hints, partition, self._topics.partitions)
            if 0 <= offset < end:
                tails[partition] = published
                unproven[partition] = offset
        # The client fetches all partitions: of the others nothing but what is new.
        reader.seek({part: end for part, end in everywhere.items() if part not in ends} | unproven)
        waiting = {partition for partition, end in ends.items() if end}
        moved_at = time.monotonic()
        while waiting:
            batches = await reader.poll(_POLL_S, waiting)
            for partition, records in batches.items():
                start = unproven.pop(partition, None)
                known = tails[partition]
                if start is not None and not _proves(records[0], start, known):
                    known.clear()
                    reader.seek({partition: 0})
                    continue
                for record in records:
                    slot, seq = _numbers(record)
                    known[slot] = max(seq, known.get(slot, 0))
            # By position, not by the last record: a foreign transaction may have left its mark.
            left = {part for part in waiting if await reader.position(part) < ends[part]}
            for partition in (waiting - left) & unproven.keys():
                # Nothing but such marks from the hint to the end: it proves nothing.
                del unproven[partition]
                tails[partition].clear()
                reader.seek({partition: 0})
                left.add(partition)
            if batches or left != waiting:
                moved_at = time.monotonic()
            elif time.monotonic() - moved_at > _READ_TIMEOUT_S:
                message = "the tail of the event topic cannot be read"
                raise ConsumerLost(message)
            waiting = left
        return {
            slot: tails[partition_of(slot, self._topics.partitions)].get(slot, 0)
            for slot in range(SLOT_COUNT)
            if partition_of(slot, self._topics.partitions) in tails
        }


def _agreed(
    hints: Mapping[int, Hint], partition: int, partitions: int
) -> tuple[int, dict[int, int]]:
    """Return the offset on which the hints of a partition's slots agree, and slot → number there;
    offset -1 when they do not: then they were written for another layout of the topic.
    """
    slots = [slot for slot in range(SLOT_COUNT) if partition_of(slot, partitions) == partition]
    found = {slot: hints[slot] for slot in slots if slot in hints}
    places = {(hint.partition, hint.kafka_offset) for hint in found.values()}
    if len(found) < len(slots) or len(places) > 1 or places.pop()[0] != partition:
        return -1, {}
    return found[slots[0]].kafka_offset, {slot: hint[0] for slot, hint in found.items()}


def _numbers(record: Record) -> tuple[int, int]:
    """Return the slot and number of a record; (-1, 0) of one that the relay did not write."""
    headers = dict(record.headers)
    try:
        return int(headers["ce_slot"]), int(headers["ce_slotseq"])
    except (KeyError, ValueError, TypeError):  # a header may be null
        return -1, 0


def _proves(record: Record, offset: int, known: Mapping[int, int]) -> bool:
    """Say whether the record at a hint's offset is one the relay had acknowledged there."""
    slot, seq = _numbers(record)
    return record.offset == offset and 0 < seq <= known.get(slot, 0)
