"""Sending one command at once, and many commands in few requests."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from passbook.messaging.producer import Producer, PublishFailed, Record


class _Letter(NamedTuple):
    partition: int
    record: Record
    acknowledged: asyncio.Future[None]


class Outbox:
    """Publishes what was posted while the batch before was on its way: a single record leaves at
    once, and batches grow with the load.
    """

    def __init__(self, topic: str, open_producer: Callable[[], Producer]) -> None:
        """Publish to `topic`, over a new producer after each one that failed."""
        self._topic = topic
        self._open_producer = open_producer
        self._producer: Producer | None = None
        self._letters: list[_Letter] = []
        self._posted = asyncio.Event()

    async def start(self) -> None:
        """Connect.

        Raises:
            PublishFailed: no broker answers.
        """
        self._producer = self._open_producer()
        try:
            await self._producer.start()
        except BaseException:
            await self._discard_producer()
            raise

    async def stop(self) -> None:
        """Disconnect; what was not sent by then will not be."""
        await self._discard_producer()
        self._settle(self._letters, PublishFailed("closed"))

    async def post(self, partition: int, record: Record) -> None:
        """Return when the record is acknowledged; records of a partition keep the order of calls.

        Raises:
            PublishFailed: whether it was published is unknown.
        """
        acknowledged = asyncio.get_running_loop().create_future()
        self._letters.append(_Letter(partition, record, acknowledged))
        self._posted.set()
        await acknowledged

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._posted.wait()
            self._posted.clear()
            letters, self._letters = self._letters, []
            failure: PublishFailed | None = PublishFailed("closed")
            try:
                await self._publish(letters)
            except PublishFailed as error:
                failure = error
                await self._discard_producer()
            else:
                failure = None
            finally:
                self._settle(letters, failure)

    async def _publish(self, letters: list[_Letter]) -> None:
        if self._producer is None:
            await self.start()
        assert self._producer is not None
        records: dict[int, list[Record]] = defaultdict(list)
        for letter in letters:
            records[letter.partition].append(letter.record)
        await self._producer.publish(self._topic, records)

    async def _discard_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    @staticmethod
    def _settle(letters: list[_Letter], failure: PublishFailed | None) -> None:
        for letter in letters:
            # One whose sender has given up is done already.
            if letter.acknowledged.done():
                continue
            if failure is None:
                letter.acknowledged.set_result(None)
            else:
                letter.acknowledged.set_exception(failure)
