"""Publishing so that an acknowledged record is on every in-sync replica, once, in order."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from passbook.messaging.cloudevents import Header
from passbook.messaging.connections import robust
from passbook.messaging.security import KafkaServers, connection_options
from passbook.messaging.topics import MAX_DEAD_LETTER_RECORD
from passbook.messaging.unreachable import why_unreachable

Record = tuple[bytes | None, bytes | None, Sequence[Header]]
"""Key, value, headers."""

_BATCH_BYTES: Final = 512 * 1024
_REQUEST_TIMEOUT_MS: Final = 10_000
_STOP_TIMEOUT_S: Final = 5.0
_ACKNOWLEDGED_S: Final = 30.0
"""Who waits longer begins anew, so that others can take over, and is seen to be in trouble."""


class PublishFailed(Exception):
    """At least one record was not acknowledged; which ones is unknown. The producer that raised
    this is of no further use: close it, open another one, and publish again from what is known.
    """


class Producer:
    """An idempotent producer with `acks=all` that publishes whole batches and checks every one."""

    def __init__(self, kafka: str | KafkaServers, *, client_id: str) -> None:
        """Remember where to connect; `start` does it.

        Raises:
            SecurityRefused: the files of the security settings cannot be used.
        """
        self._kafka = kafka
        self._producer = AIOKafkaProducer(
            **connection_options(kafka),
            client_id=client_id,
            acks="all",
            enable_idempotence=True,
            max_batch_size=_BATCH_BYTES,
            max_request_size=MAX_DEAD_LETTER_RECORD + 64 * 1024,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        robust(self._producer.client)

    async def start(self) -> None:
        """Connect.

        Raises:
            PublishFailed: no broker answers.
        """
        try:
            await self._producer.start()
        except BaseException as error:
            await self.stop()  # a client that did not start leaves connections and tasks behind
            if isinstance(error, KafkaError):
                raise PublishFailed(await why_unreachable(error, self._kafka)) from error
            raise

    async def stop(self) -> None:
        """Flush and disconnect, within five seconds."""
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self._producer.stop()
        except TimeoutError:
            return

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

    async def publish(self, topic: str, records: Mapping[int, Iterable[Record]]) -> dict[int, int]:
        """Publish records by partition, each partition's in order; return when all are acknowledged.

        Returns the offset of the last record of each partition.

        Raises:
            PublishFailed: see there.
        """
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    partition: group.create_task(self._publish(topic, partition, rows))
                    for partition, rows in records.items()
                }
        except* (KafkaError, TimeoutError) as errors:
            raise PublishFailed(str(errors.exceptions[0])) from errors
        return {partition: task.result() for partition, task in tasks.items()}

    async def _publish(self, topic: str, partition: int, records: Iterable[Record]) -> int:
        batch = self._producer.create_batch()
        last = -1
        for key, value, headers in records:
            while batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                last = await self._send(batch, topic, partition)
                batch = self._producer.create_batch()
        return await self._send(batch, topic, partition) if batch.record_count() else last

    async def _send(self, batch: Any, topic: str, partition: int) -> int:
        count: int = batch.record_count()
        batch.close()
        acknowledged = await self._producer.send_batch(batch, topic, partition=partition)
        # Not awaited itself: when another partition fails first, this one's error would be told as one
        # that nobody took. An idempotent producer tries for ever, as long as a partition lacks replicas.
        acknowledged.add_done_callback(_take_note)
        await asyncio.wait([acknowledged], timeout=_ACKNOWLEDGED_S)
        if not acknowledged.done():
            message = f"Kafka has not acknowledged records of {topic} for {_ACKNOWLEDGED_S:.0f} s"
            raise TimeoutError(message)
        first: int = acknowledged.result().offset
        return first + count - 1


def _take_note(acknowledged: "asyncio.Future[Any]") -> None:
    if not acknowledged.cancelled():
        acknowledged.exception()
