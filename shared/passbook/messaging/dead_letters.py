"""Dead letters: a copy of what could not be processed, as it came, with where and why."""

from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from passbook.messaging.cloudevents import Header, format_time
from passbook.messaging.consumer import Record
from passbook.messaging.producer import Producer
from passbook.messaging.producer import Record as Outgoing
from passbook.messaging.security import KafkaServers
from passbook.messaging.topics import MAX_DEAD_LETTER_RECORD
from passbook.telemetry import DEAD_LETTERS

_KEPT_VALUE: Final = 1024 * 1024
_KEPT_FIELD: Final = 1024
_KEPT_HEADERS: Final = 100


def dead_letter(record: Record, reason: str) -> Outgoing:
    """Return the copy of `record` for a dead-letter topic: the original key, value and headers,
    plus `dlq-topic`, `dlq-partition`, `dlq-offset`, `dlq-error` and `dlq-failed-at`.

    A record that the topic does not take, because it was small only while it was compressed, is
    cut: the first megabyte of its value and its short headers are kept, and `dlq-truncated` says
    how many bytes it had.
    """
    added = [
        ("dlq-topic", record.topic.encode()),
        ("dlq-partition", str(record.partition).encode()),
        ("dlq-offset", str(record.offset).encode()),
        ("dlq-error", reason.encode()),
        ("dlq-failed-at", format_time(datetime.now(UTC)).encode()),
    ]
    whole = record.key, record.value, [*record.headers, *added]
    size = DefaultRecordBatchBuilder.estimate_size_in_bytes(*whole)
    if size <= MAX_DEAD_LETTER_RECORD:
        return whole
    return _cut(record, [*added, ("dlq-truncated", str(size).encode())])


def _cut(record: Record, added: list[Header]) -> Outgoing:
    short = [
        (name, value)
        for name, value in record.headers
        if len(name) + len(value or b"") <= _KEPT_FIELD
    ]
    key = None if record.key is None else record.key[:_KEPT_FIELD]
    value = None if record.value is None else record.value[:_KEPT_VALUE]
    return key, value, [*short[:_KEPT_HEADERS], *added]


class DeadLetterOffice:
    """Sends dead letters to one topic, over a producer that is opened for the first of them: most
    processes never need it.
    """

    def __init__(self, kafka: str | KafkaServers, topic: str, *, client_id: str) -> None:
        """Remember where to send."""
        self._kafka = kafka
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
            self._producer = Producer(self._kafka, client_id=self._client_id)
            await self._producer.start()
        await self._producer.publish(self._topic, {record.partition: [dead_letter(record, reason)]})
        DEAD_LETTERS.labels(self._topic).inc()
