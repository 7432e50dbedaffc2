"""Stand-ins for the two Kafka clients of the command service."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from passbook.messaging.producer import PublishFailed, Record
from tests.support.messages import Message
from tests.support.until import until

PARTITION = 1


class ScriptedConsumer:
    """Hands out the polls it is given, and nothing more; remembers what was processed."""

    def __init__(self, *polls: list[Message]) -> None:
        """Take the first polls."""
        self._polls: asyncio.Queue[list[Message]] = asyncio.Queue()
        self._offset = 0
        self._taken: list[Message] = []
        self._waiting: list[Message] = []
        self._is_held = False
        self.processed_up_to = 0
        self.held_at: list[int] = []
        for poll in polls:
            self._polls.put_nowait(poll)

    def arrive(self, *messages: Message) -> None:
        """Have one more poll."""
        self._polls.put_nowait(list(messages))

    async def taken(self) -> None:
        """Return when every poll was handed out, and a little later."""
        await until(self._polls.empty)
        for _ in range(20):
            await asyncio.sleep(0)

    async def poll(self, timeout_s: float) -> dict[int, list[Any]]:
        """Return the next poll, or nothing after the timeout."""
        try:
            messages = await asyncio.wait_for(self._polls.get(), timeout_s)
        except TimeoutError:
            return {}
        if self._is_held:
            self._waiting += messages
            return {}
        self._taken += messages
        records = []
        for message in messages:
            records.append(
                SimpleNamespace(
                    topic="bank.commands",
                    partition=PARTITION,
                    offset=self._offset,
                    key=message.key,
                    value=message.value,
                    headers=tuple(message.headers),
                    timestamp=int(time.time() * 1000),
                )
            )
            self._offset += 1
        return {PARTITION: records}

    def hold(self, offsets: Mapping[int, int]) -> None:
        """Keep everything from the offset on back."""
        offset = offsets[PARTITION]
        self._is_held = True
        self.held_at.append(offset)
        self._waiting = self._taken[offset:] + self._waiting
        del self._taken[offset:]
        self._offset = offset

    def release(self, partitions: Iterable[int]) -> None:
        """Hand out what was kept back."""
        assert list(partitions) == [PARTITION]
        self._is_held = False
        waiting, self._waiting = self._waiting, []
        self.arrive(*waiting)

    async def processed(self, next_offsets: Mapping[int, int]) -> None:
        """Remember the offset."""
        self.processed_up_to = next_offsets.get(PARTITION, self.processed_up_to)

    async def flush(self) -> None:
        """Do nothing: everything is remembered at once."""


class CollectingProducer:
    """Keeps what is published; `fail` makes the next publication fail."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.published: list[tuple[str, Record]] = []
        self.fail = False

    async def publish(self, topic: str, records: Mapping[int, Iterable[Record]]) -> dict[int, int]:
        """Keep the records of a topic."""
        await asyncio.sleep(0)
        if self.fail:
            message = "no broker"
            raise PublishFailed(message)
        for rows in records.values():
            self.published += [(topic, row) for row in rows]
        return {}
