"""Reading the dead letters of one topic, without taking any of them away."""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final

from passbook.messaging.consumer import ConsumerLost, Record
from passbook.messaging.letters import Letter, NoSuchLetter, Place, topic_of
from passbook.messaging.reader import TopicReader
from passbook.messaging.security import KafkaServers
from passbook.messaging.topics import Topics

_POLL_S: Final = 1.0
_READ_TIMEOUT_S: Final = 30.0


class LetterBox:
    """The dead letters of one topic."""

    def __init__(self, kafka: str | KafkaServers, topics: Topics, box: str) -> None:
        """Name it by its short name."""
        self._kafka = kafka
        self._topic = topic_of(box, topics)
        self._partitions = topics.partitions
        self._box = box

    async def newest(self, limit: int) -> list[Letter]:
        """Return the last `limit` letters, newest first.

        Raises:
            ConsumerLost: Kafka does not answer.
            TopicMismatch: there is no such topic.
        """
        found: list[Letter] = []
        async with aclosing(self._read(limit)) as letters:
            async for letter in letters:
                found.append(letter)
                if len(found) > 2 * limit:
                    found = _newest(found, limit)
        return _newest(found, limit)

    async def everything(self) -> AsyncGenerator[Letter]:
        """Yield what there is now, each partition's letters in their order; what comes meanwhile is
        left out.

        Raises:
            ConsumerLost, TopicMismatch: see `newest`.
        """
        async with aclosing(self._read(None)) as letters:
            async for letter in letters:
                yield letter

    async def one(self, partition: int, offset: int) -> Letter:
        """Return the letter at a place.

        Raises:
            NoSuchLetter: there is none.
            ConsumerLost, TopicMismatch: see `newest`.
        """
        place = Place(self._box, partition, offset)
        async with self._reader() as reader:
            ends = await reader.ends()
            if offset < ends.get(partition, 0):
                wanted = {partition: offset}
                async with aclosing(_records(reader, ends, ends | wanted)) as records:
                    async for record in records:
                        if record.offset == offset:
                            return Letter.of(self._box, record)
                        break  # it is gone, and the next one that is there is another
        message = f"there is no dead letter at {place}"
        raise NoSuchLetter(message)

    def _reader(self) -> TopicReader:
        return TopicReader(
            self._kafka, self._topic, partitions=self._partitions, client_id="passbook-dlq"
        )

    async def _read(self, last: int | None) -> AsyncGenerator[Letter]:
        """Yield the last so many letters of every partition, or all of them."""
        async with self._reader() as reader:
            ends = await reader.ends()
            starts = {part: 0 if last is None else max(0, end - last) for part, end in ends.items()}
            async with aclosing(_records(reader, ends, starts)) as records:
                async for record in records:
                    yield Letter.of(self._box, record)


async def _records(
    reader: TopicReader, ends: Mapping[int, int], starts: Mapping[int, int]
) -> AsyncGenerator[Record]:
    """Yield the records of every partition from its start to its end of now."""
    reader.seek(starts)
    waiting = {partition for partition, end in ends.items() if starts[partition] < end}
    moved_at = time.monotonic()
    while waiting:
        batches = await reader.poll(_POLL_S, waiting)
        for partition, records in batches.items():
            for record in records:
                if record.offset < ends[partition]:
                    yield record
        # By position, not by the last record: what expired or was aborted has offsets, too.
        left = {part for part in waiting if await reader.position(part) < ends[part]}
        if batches or left != waiting:
            moved_at = time.monotonic()
        elif time.monotonic() - moved_at > _READ_TIMEOUT_S:
            message = "Kafka: the dead letters cannot be read to their end"
            raise ConsumerLost(message)
        waiting = left


def _newest(letters: list[Letter], limit: int) -> list[Letter]:
    return sorted(letters, key=lambda letter: (letter.failed_at, letter.place), reverse=True)[
        :limit
    ]
