"""The client: commands in, outcomes out, over one producer and one reader."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from types import TracebackType
from typing import Final, Self, Unpack
from uuid import UUID

from passbook.client.answers import Answers
from passbook.client.arguments import checked_group, command_id_of
from passbook.client.bank import DEFAULT_TIMEOUT_S, Bank, Context
from passbook.client.encoding import encoded
from passbook.client.errors import BankUnreachable, OutcomeUnknown
from passbook.client.intake import OnGap
from passbook.client.outbox import Outbox
from passbook.client.outcome import Outcome
from passbook.client.source import Revoked, Shared
from passbook.client.subscription import DEFAULT_MAX_IN_FLIGHT, From, Subscription, Types
from passbook.client.tracing import followed, sending
from passbook.domain.commands import Command
from passbook.domain.slots import partition_of, slot_of
from passbook.messaging.consumer import ConsumerLost
from passbook.messaging.member import Member
from passbook.messaging.producer import Producer, PublishFailed
from passbook.messaging.security import KafkaSecurity, KafkaServers, servers_of
from passbook.messaging.tail import Tail
from passbook.messaging.topics import Topics

_RECORDS: Final = 250
"""Events that are read at once: some milliseconds of work between two looks at the event loop."""
_REMEMBERED_SLOTS: Final = 16_384
MAX_OUTSTANDING: Final = 10_000
"""Commands that are under way at once; further ones wait for their turn."""


class PassbookClient(Bank):
    """Publishes commands and awaits their outcomes, for as long as its `async with` block.

    One client serves any number of tasks of an event loop. Commands of one account are decided in
    the order in which they were sent.
    """

    def __init__(  # noqa: PLR0913 - the options of a client
        self,
        bootstrap_servers: str | KafkaServers,
        topics: Topics | None = None,
        *,
        security: KafkaSecurity | None = None,
        source: str = "/passbook/client",
        client_id: str = "passbook-client",
        session_timeout: float = 30.0,
    ) -> None:
        """Name Kafka's bootstrap servers and, unless they are the default ones, the topics.

        `security` is how they are talked to, TLS and a password say; without it neither is used.
        `source` says in every command who sent it (`ce_source`). `session_timeout` is how many
        seconds the partitions of a subscriber that has crashed stay idle: 6 to 300.

        Raises:
            SecurityRefused: a file that `security` names cannot be used.
        """
        kafka = _servers(bootstrap_servers, security)
        self._kafka = kafka
        self._client_id = client_id
        self._session_timeout_s = session_timeout
        self._topics = topics or Topics()
        self._source = source
        self._slot = lru_cache(_REMEMBERED_SLOTS)(slot_of)
        self._outbox = Outbox(self._topics.commands, lambda: Producer(kafka, client_id=client_id))
        self._tail = Tail(
            kafka, self._topics.outcomes, self._topics.partitions, client_id=client_id
        )
        self._answers = Answers(self._tail)
        self._turns = asyncio.Semaphore(MAX_OUTSTANDING)
        self._open = AsyncExitStack()
        self._subscriptions: list[Subscription] = []

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
        """Disconnect: subscriptions end, and whoever waits for an outcome gets `OutcomeUnknown`."""
        try:
            await asyncio.gather(*(subscription.aclose() for subscription in self._subscriptions))
        finally:
            # The group would wrap an exception of the block, which is not its own, into a group.
            if not isinstance(error, asyncio.CancelledError):
                kind, error, trace = None, None, None
            await self._open.__aexit__(kind, error, trace)

    async def execute(
        self,
        command: Command,
        *,
        command_id: UUID | str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,  # noqa: ASYNC109 - the public name
        **context: Unpack[Context],
    ) -> Outcome:
        """Send a command and return its outcome, also when that is a rejection.

        `command_id` is the key of idempotency: give one that you have stored to be able to ask
        again; without it there is a new one.

        Raises:
            OutcomeUnknown: no answer within `timeout`; ask again with its `command_id`.
            MalformedValue: the bank would not understand this command; nothing was sent.
        """
        command_id = command_id_of(command_id)
        partition = self._partition(command)
        context, span = followed(context, self._topics.commands, partition, command, command_id)
        record, message = encoded(command, command_id, self._source, **context)
        with _outcome_unknown(command_id, f"no answer within {timeout:g} s"):
            async with asyncio.timeout(timeout), self._turns:
                with self._answers.expect(command_id, message.request_hash) as answer:
                    with sending(span):
                        await self._outbox.post(partition, record)
                    return await answer

    async def send(
        self,
        command: Command,
        *,
        command_id: UUID | str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,  # noqa: ASYNC109 - the public name
        **context: Unpack[Context],
    ) -> UUID:
        """Return the command's id as soon as Kafka has the command; nobody waits for the outcome.

        Raises:
            OutcomeUnknown: Kafka did not acknowledge within `timeout`; send again with the id.
            MalformedValue: the bank would not understand this command; nothing was sent.
        """
        command_id = command_id_of(command_id)
        partition = self._partition(command)
        context, span = followed(context, self._topics.commands, partition, command, command_id)
        record, _ = encoded(command, command_id, self._source, **context)
        with _outcome_unknown(command_id, f"not acknowledged within {timeout:g} s"):
            async with asyncio.timeout(timeout), self._turns:
                with sending(span):
                    await self._outbox.post(partition, record)
        return command_id

    def subscribe(
        self,
        *,
        group: str,
        types: Types | None = None,
        from_: From = "beginning",
        on_gap: OnGap | None = None,
        max_in_flight: int = DEFAULT_MAX_IN_FLIGHT,
    ) -> Subscription:
        """Return the events that `group` has not acknowledged yet; see `Bank.subscribe`."""
        subscription = Subscription(
            partial(self._member, checked_group(group, self._topics)),
            self._topics.partitions,
            types=types,
            from_=from_,
            on_gap=on_gap,
            max_in_flight=max_in_flight,
        )
        self._subscriptions = [one for one in self._subscriptions if not one.closed]
        self._subscriptions.append(subscription)
        return subscription

    def _member(self, group: str, shared: Shared, revoked: Revoked) -> Member:
        return Member(
            self._kafka,
            self._topics.events,
            self._topics.partitions,
            group=group,
            client_id=self._client_id,
            session_timeout_s=self._session_timeout_s,
            max_records=_RECORDS,
            shared=shared,
            revoked=revoked,
        )

    def _partition(self, command: Command) -> int:
        return partition_of(self._slot(command.account_id), self._topics.partitions)


def _servers(bootstrap: str | KafkaServers, security: KafkaSecurity | None) -> KafkaServers:
    servers = servers_of(bootstrap)
    if security is not None:
        servers = replace(servers, security=security)
    servers.security.options()  # a file that cannot be used is told now, not at the first command
    return servers


@contextmanager
def _outcome_unknown(command_id: UUID, late: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise OutcomeUnknown(command_id, late) from error
    except PublishFailed as error:
        raise OutcomeUnknown(command_id, str(error)) from error
