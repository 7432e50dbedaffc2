"""How far the log is in Kafka: the last event of each slot, read from a hint on to the end."""

import time
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from passbook.domain.slots import SLOT_COUNT, partition_of
from passbook.messaging.consumer import ConsumerLost, Record
from passbook.messaging.reader import TopicReader
from passbook.messaging.security import KafkaServers
from passbook.messaging.topics import Topics

_READ_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.2


class Hint(NamedTuple):
    """What the table says of one slot: everything up to `published_seq` was acknowledged when the
    newest record of its partition was the one at `kafka_offset`; -1 when that is not to be relied on.
    """

    published_seq: int
    partition: int
    kafka_offset: int


class Tail(NamedTuple):
    """The last event of a slot in Kafka: its number, 0 when there is none, and its id where the
    event itself was read and not only the hint.
    """

    slot_seq: int
    event_id: str = ""


async def read_tails(
    kafka: str | KafkaServers,
    topics: Topics,
    hints: Mapping[int, Hint],
    partitions: Collection[int],
    client_id: str,
) -> dict[int, Tail]:
    """Return the tail of each slot of these partitions.

    Reads each partition from its hint to the end, and from the beginning when the record at the hint
    is not the one that was acknowledged there.

    Raises:
        ConsumerLost: Kafka does not answer.
    """
    reader = TopicReader(kafka, topics.events, partitions=topics.partitions, client_id=client_id)
    async with reader:
        tails = await _read(reader, topics, hints, partitions)
    return {
        slot: tails[partition].get(slot, Tail(0))
        for slot in range(SLOT_COUNT)
        if (partition := partition_of(slot, topics.partitions)) in tails
    }


async def _read(
    reader: TopicReader, topics: Topics, hints: Mapping[int, Hint], partitions: Collection[int]
) -> dict[int, dict[int, Tail]]:
    """Return partition → slot → tail."""
    everywhere = await reader.ends()
    ends = {partition: everywhere[partition] for partition in partitions}
    tails: dict[int, dict[int, Tail]] = {partition: {} for partition in ends}
    # The offset whose record tells whether the hint fits.
    unproven: dict[int, int] = {}
    for partition, end in ends.items():
        offset, published = agreed(hints, partition, topics.partitions)
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
            if start is not None and not proves(records[0], start, known):
                known.clear()
                reader.seek({partition: 0})
                continue
            _follow(records, known)
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
    return tails


def _follow(records: Collection[Record], known: dict[int, Tail]) -> None:
    for record in records:
        slot, seq = _numbers(record)
        at = known.get(slot, Tail(0))
        if seq > at.slot_seq or (seq == at.slot_seq and not at.event_id):
            event_id = dict(record.headers).get("ce_id") or b""
            known[slot] = Tail(seq, event_id.decode("ascii", "replace"))


def agreed(
    hints: Mapping[int, Hint], partition: int, partitions: int
) -> tuple[int, dict[int, Tail]]:
    """Return the offset on which the hints of a partition's slots agree, and slot → tail there;
    offset -1 when they do not: then they were written for another layout of the topic.
    """
    slots = [slot for slot in range(SLOT_COUNT) if partition_of(slot, partitions) == partition]
    found = {slot: hints[slot] for slot in slots if slot in hints}
    places = {(hint.partition, hint.kafka_offset) for hint in found.values()}
    if len(found) < len(slots) or len(places) > 1 or places.pop()[0] != partition:
        return -1, {}
    at = found[slots[0]].kafka_offset
    return at, {slot: Tail(hint.published_seq) for slot, hint in found.items()}


def _numbers(record: Record) -> tuple[int, int]:
    """Return the slot and number of a record; (-1, 0) of one that the relay did not write."""
    headers = dict(record.headers)
    try:
        return int(headers["ce_slot"]), int(headers["ce_slotseq"])
    except (KeyError, ValueError, TypeError):  # a header may be null
        return -1, 0


def proves(record: Record, offset: int, known: Mapping[int, Tail]) -> bool:
    """Say whether the record at a hint's offset is the one the relay had acknowledged there: the
    newest of its partition then, so the one whose number the hint of its slot has.
    """
    slot, seq = _numbers(record)
    return record.offset == offset and 0 < seq == known.get(slot, Tail(0)).slot_seq
