"""Dead letters: a copy of what could not be processed, as it came, with where and why."""

from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from passbook.messaging.cloudevents import format_time
from passbook.messaging.consumer import Record
from passbook.messaging.producer import Producer
from passbook.messaging.producer import Record as Outgoing
from passbook.telemetry import DEAD_LETTERS


def dead_letter(record: Record, reason: str) -> Outgoing:
    """Return the copy of `record` for a dead-letter topic: the original key, value and headers,
    plus `dlq-topic`, `dlq-partition`, `dlq-offset`, `dlq-error` and `dlq-failed-at`.
    """
    headers = [
        *record.headers,
        ("dlq-topic", record.topic.encode()),
        ("dlq-partition", str(record.partition).encode()),
        ("dlq-offset", str(record.offset).encode()),
        ("dlq-error", reason.encode()),
        ("dlq-failed-at", format_time(datetime.now(UTC)).encode()),
    ]
    return record.key, record.value, headers


class DeadLetterOffice:
    """Sends dead letters to one topic, over a producer that is opened for the first of them: most
    processes never need it.
    """

    def __init__(self, bootstrap: str, topic: str, *, client_id: str) -> None:
        """Remember where to send."""
        self._bootstrap = bootstrap
        self._topic = topic
        self._client_id = client_id
        self._producer: Producer | None = None

    async def __aenter__(self) -> Self:
        """Do nothing yet."""
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Close the producer, if there is one."""
        if self._producer is not None:
            await self._producer.stop()

    async def send(self, record: Record, reason: str) -> None:
        """Copy a record to the topic, into the partition with the same number.

        Raises:
            PublishFailed: it is not there; do not go on without it.
        """
        if self._producer is None:
            self._producer = Producer(self._bootstrap, client_id=self._client_id)
            await self._producer.start()
        await self._producer.publish(self._topic, {record.partition: [dead_letter(record, reason)]})
        DEAD_LETTERS.labels(self._topic).inc()
