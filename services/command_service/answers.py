"""Answers: outcomes and dead letters to Kafka, and then, and only then, the offsets.

Answers of one batch are published while the next one is appended; never those of two batches at
once, so that offsets only grow.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import structlog

from passbook.domain.slots import partition_of, slot_of
from passbook.eventstore.store import CommandOutcome
from passbook.messaging import outcomes
from passbook.messaging.commands import BadCommand, CommandMessage
from passbook.messaging.consumer import Record
from passbook.messaging.dead_letters import dead_letter
from passbook.messaging.group_consumer import Consumer
from passbook.messaging.producer import Producer
from passbook.messaging.producer import Record as Outgoing
from passbook.messaging.topics import Topics
from passbook.telemetry import COMMANDS_DECIDED, DEAD_LETTERS
from services.command_service.arrivals import Answer, Arrival, ids_of
from services.command_service.counted import ACCEPTED, type_of
from services.command_service.traces import answering

if TYPE_CHECKING:
    from passbook.tracing.batches import BatchTrace

_REMEMBERED_SLOTS: Final = 16_384

log = structlog.get_logger()


class AnswerDesk:
    """Publishes answers and remembers how far everything is answered."""

    def __init__(self, consumer: Consumer, producer: Producer, topics: Topics) -> None:
        """Take the clients."""
        self._consumer = consumer
        self._producer = producer
        self._topics = topics
        self._slot = lru_cache(_REMEMBERED_SLOTS)(slot_of)
        self._publishing: asyncio.Task[None] | None = None

    async def answer(
        self,
        answers: Sequence[Answer],
        offsets: Mapping[int, int],
        trace: "BatchTrace[Arrival] | None" = None,
    ) -> None:
        """Start publishing `answers`, once those before them are acknowledged.

        `offsets` (partition → next offset) are committed some time after that; `trace` follows some
        of the commands.

        Raises:
            PublishFailed, ConsumerLost: of the answers before.
        """
        await self._settle()
        self._publishing = asyncio.create_task(self._answer(answers, dict(offsets), trace))

    async def tend(self) -> None:
        """Look after the newest answers, which no later ones may come to do: if they could not be
        published, say so; if they are, commit their offsets.

        Raises:
            PublishFailed, ConsumerLost: of the newest answers.
        """
        if self._publishing is None or self._publishing.done():
            await self._settle()
            await self._consumer.processed({})

    async def close(self) -> None:
        """Return when everything is acknowledged and committed."""
        await self._settle()
        await self._consumer.flush()

    async def abandon(self) -> None:
        """Leave what is not acknowledged yet to a redelivery."""
        if self._publishing is not None:
            self._publishing.cancel()
            await asyncio.gather(self._publishing, return_exceptions=True)

    async def _settle(self) -> None:
        if self._publishing is not None:
            publishing, self._publishing = self._publishing, None
            await publishing

    async def _answer(
        self,
        answers: Sequence[Answer],
        offsets: dict[int, int],
        trace: "BatchTrace[Arrival] | None",
    ) -> None:
        with answering(trace, answers):
            await self._publish(answers)
        await self._consumer.processed(offsets)

    async def _publish(self, answers: Sequence[Answer]) -> None:
        letters: dict[int, list[Outgoing]] = defaultdict(list)
        records: dict[int, list[Outgoing]] = defaultdict(list)
        counts: Counter[tuple[str, str]] = Counter()
        encoder = _Encoder()
        for answer in answers:
            record, message, outcome = answer
            if outcome is not None:
                counts[type_of(record, message), outcome.error_code or ACCEPTED] += 1
                records[self._partition(record, outcome)].append(encoder.encode(message, outcome))
            if isinstance(message, BadCommand):
                if outcome is None:
                    counts[type_of(record, message), message.code] += 1
                letters[record.partition].append(dead_letter(record, message.reason))
                log.warning(
                    "command.malformed",
                    partition=record.partition,
                    offset=record.offset,
                    code=message.code,
                    **ids_of(message),
                )
        if letters:
            await self._producer.publish(self._topics.commands_dlq, letters)
            DEAD_LETTERS.labels(self._topics.commands_dlq).inc(sum(map(len, letters.values())))
        if records:
            await self._producer.publish(self._topics.outcomes, records)
        for labels, count in counts.items():
            COMMANDS_DECIDED.labels(*labels).inc(count)

    def _partition(self, record: Record, outcome: CommandOutcome) -> int:
        """The partition of the account, which is that of the command unless its sender chose
        another one, or named no account.
        """
        account_id = outcome.stream_id
        if account_id is None:
            arrived_on: int = record.partition
            return arrived_on
        slot: int = self._slot(account_id)
        return partition_of(slot, self._topics.partitions)


class _Encoder:
    """Writes outcome records; remembers the last decision time it formatted."""

    def __init__(self) -> None:
        self._moment: datetime | None = None
        self._time = b""

    def encode(self, message: CommandMessage | BadCommand, outcome: CommandOutcome) -> Outgoing:
        command_id, request_hash, account_id, version, event_ids, code, text, decided = outcome
        if code == "idempotency_conflict":
            # Not *the* outcome of this id, so it does not carry that outcome's id.
            variant = request_hash.hex()
            log.warning("command.conflict", **ids_of(message))
        else:
            variant = ""
        if decided is not self._moment:
            self._moment = decided
            self._time = outcomes.format_decided_at(decided)
        return outcomes.encode(
            outcomes.document(command_id, account_id, version, event_ids, code, text),
            ce_id=outcomes.outcome_id(command_id, variant),
            decided_at=self._time,
            request_hash=request_hash,
            context=message.context,
        )
