"""Reading what a topic gets from now on, without a group: every reader sees everything."""

from functools import partial
from types import TracebackType
from typing import Self

from passbook.messaging.consumer import Record
from passbook.messaging.reader import TopicReader
from passbook.messaging.security import KafkaServers


class Tail:
    """Reads all partitions of a topic from where they ended when it was first started.

    After `ConsumerLost`, `start` again: it goes on where it was, so that nothing is missed.
    """

    def __init__(
        self, kafka: str | KafkaServers, topic: str, partitions: int, *, client_id: str
    ) -> None:
        """Remember what to read; `start` connects."""
        self._open = partial(TopicReader, kafka, topic, partitions=partitions, client_id=client_id)
        self._next: dict[int, int] = {}
        self._reader: TopicReader | None = None

    async def start(self) -> None:
        """Return when everything that is published from now on will be read.

        Raises:
            ConsumerLost: no broker answers.
            TopicMismatch: the topic does not exist, or has another number of partitions.
        """
        await self.stop()
        self._reader = self._open()
        await self._reader.start()
        # Asked for now: "the end" of the first fetch would be a later one.
        self._next = await self._reader.ends() | self._next
        self._reader.seek(self._next)

    async def poll(self, timeout_s: float) -> list[Record]:
        """Return the next records, each partition's in order; none after the timeout.

        Raises:
            ConsumerLost: the broker reported something that reading on cannot mend.
        """
        assert self._reader is not None, "start it first"
        records: list[Record] = []
        for partition, batch in (await self._reader.poll(timeout_s)).items():
            self._next[partition] = batch[-1].offset + 1
            records += batch
        return records

    async def stop(self) -> None:
        """Disconnect, within five seconds."""
        if self._reader is not None:
            await self._reader.stop()

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
