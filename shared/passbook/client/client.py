"""The client: commands in, outcomes out, over one producer and one reader."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self, TypedDict, Unpack
from uuid import UUID, uuid4

from passbook.client.answers import Answers
from passbook.client.errors import BankUnreachable, OutcomeUnknown
from passbook.client.outbox import Outbox
from passbook.client.outcome import Outcome
from passbook.domain.commands import Command
from passbook.domain.errors import MalformedValue
from passbook.domain.slots import partition_of, slot_of
from passbook.messaging.cloudevents import format_time
from passbook.messaging.commands import BadCommand, decode, encode
from passbook.messaging.consumer import ConsumerLost
from passbook.messaging.producer import Producer, PublishFailed
from passbook.messaging.producer import Record as Outgoing
from passbook.messaging.tail import Tail
from passbook.messaging.topics import Topics

DEFAULT_TIMEOUT_S: Final = 10.0
MAX_OUTSTANDING: Final = 10_000
"""Commands that are under way at once; further ones wait for their turn."""


class Context(TypedDict, total=False):
    """What is kept with a command and copied to everything it causes: who wanted it, which
    conversation it belongs to, and the W3C trace.
    """

    actor: str
    correlation_id: str
    traceparent: str


class PassbookClient:
    """Publishes commands and awaits their outcomes, for as long as its `async with` block.

    One client serves any number of tasks of an event loop. Commands of one account are decided in
    the order in which they were sent.
    """

    def __init__(
        self,
        bootstrap: str,
        topics: Topics | None = None,
        *,
        source: str = "/passbook/client",
        client_id: str = "passbook-client",
    ) -> None:
        """Name Kafka's bootstrap servers and, unless they are the default ones, the topics.

        `source` says in every command who sent it (`ce_source`).
        """
        self._topics = topics or Topics()
        self._source = source
        self._outbox = Outbox(
            self._topics.commands, lambda: Producer(bootstrap, client_id=client_id)
        )
        self._tail = Tail(
            bootstrap, self._topics.outcomes, self._topics.partitions, client_id=client_id
        )
        self._answers = Answers(self._tail)
        self._turns = asyncio.Semaphore(MAX_OUTSTANDING)
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Connect. Outcomes are read from before the first command can be sent.

        Raises:
            BankUnreachable: Kafka does not answer.
            TopicMismatch: the topics are not the ones named.
        """
        async with AsyncExitStack() as opening:
            try:
                await opening.enter_async_context(self._tail)
                await self._outbox.start()
            except (ConsumerLost, PublishFailed) as error:
                raise BankUnreachable(str(error)) from error
            opening.push_async_callback(self._outbox.stop)
            opening.callback(self._answers.give_up)
            group = await opening.enter_async_context(asyncio.TaskGroup())
            for work in (self._outbox.run(), self._answers.run()):
                opening.callback(group.create_task(work).cancel)
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect; whoever still waits for an outcome gets `OutcomeUnknown`."""
        # The group would wrap an exception of the block, which is not its own, into a group.
        if not isinstance(error, asyncio.CancelledError):
            kind, error, trace = None, None, None
        await self._open.__aexit__(kind, error, trace)

    async def execute(
        self,
        command: Command,
        *,
        command_id: UUID | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        **context: Unpack[Context],
    ) -> Outcome:
        """Send a command and return its outcome, also when that is a rejection.

        `command_id` is the key of idempotency: give one that you have stored to be able to ask
        again; without it there is a new one.

        Raises:
            OutcomeUnknown: no answer within `timeout_s`; ask again with its `command_id`.
            MalformedValue: the bank would not understand this command; nothing was sent.
        """
        command_id = command_id or uuid4()
        record, request_hash = self._encode(command, command_id, context)
        with _outcome_unknown(command_id, f"no answer within {timeout_s:g} s"):
            async with asyncio.timeout(timeout_s), self._turns:
                with self._answers.expect(command_id, request_hash) as answer:
                    await self._outbox.post(self._partition(command), record)
                    return await answer

    async def send(
        self,
        command: Command,
        *,
        command_id: UUID | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        **context: Unpack[Context],
    ) -> UUID:
        """Return the command's id as soon as Kafka has the command; nobody waits for the outcome.

        Raises:
            OutcomeUnknown: Kafka did not acknowledge within `timeout_s`; send again with the id.
            MalformedValue: the bank would not understand this command; nothing was sent.
        """
        command_id = command_id or uuid4()
        record, _ = self._encode(command, command_id, context)
        with _outcome_unknown(command_id, f"not acknowledged within {timeout_s:g} s"):
            async with asyncio.timeout(timeout_s), self._turns:
                await self._outbox.post(self._partition(command), record)
        return command_id

    def _partition(self, command: Command) -> int:
        return partition_of(slot_of(command.account_id), self._topics.partitions)

    def _encode(
        self, command: Command, command_id: UUID, context: Context
    ) -> tuple[Outgoing, bytes]:
        """Return the record, and the hash by which the bank will know its content."""
        now = format_time(datetime.now(UTC))
        try:
            record = encode(
                command, command_id=command_id, source=self._source, time=now, **context
            )
        except (TypeError, UnicodeEncodeError) as error:
            raise MalformedValue(str(error)) from error
        message = decode(*record)
        if isinstance(message, BadCommand):
            raise MalformedValue(message.reason)
        return record, message.request_hash


@contextmanager
def _outcome_unknown(command_id: UUID, late: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise OutcomeUnknown(command_id, late) from error
    except PublishFailed as error:
        raise OutcomeUnknown(command_id, str(error)) from error
