"""The bank in memory."""

import asyncio
from collections import defaultdict
from functools import partial
from types import TracebackType
from typing import Final, Self, Unpack
from uuid import UUID

import orjson

from passbook.client.arguments import checked_group, command_id_of
from passbook.client.bank import DEFAULT_TIMEOUT_S, Bank, Context
from passbook.client.encoding import encoded
from passbook.client.errors import OutcomeUnknown
from passbook.client.intake import OnGap
from passbook.client.outcome import Outcome, Refusal
from passbook.client.subscription import DEFAULT_MAX_IN_FLIGHT, From, Subscription, Types
from passbook.client.testing.log import FakeLog
from passbook.domain.account import BankAccount
from passbook.domain.commands import Command, execute
from passbook.domain.errors import AccountError
from passbook.domain.events import AccountEvent
from passbook.domain.slots import partition_of, slot_of
from passbook.domain.stamps import Stamp, system_stamp
from passbook.messaging.commands import CommandMessage
from passbook.messaging.events import encode_headers
from passbook.messaging.outcomes import CONFLICT, CONFLICT_MESSAGE
from passbook.messaging.topics import Topics

_SOURCE: Final = "/passbook/client/testing"


class FakeBank(Bank):
    """Decides commands at once, remembers them, and publishes events to its subscribers.

    It works with and without `async with`; its end closes its subscriptions, and nothing else.
    """

    def __init__(self, *, partitions: int = 4, stamp: Stamp = system_stamp) -> None:
        """Start without accounts. `stamp` gives each event its id and time."""
        self._topics = Topics(partitions=partitions)
        self._log = FakeLog(partitions)
        self._stamp = stamp
        self._accounts: dict[UUID, BankAccount] = {}
        self._histories: dict[UUID, list[AccountEvent]] = defaultdict(list)
        self._decided: dict[UUID, tuple[bytes, Outcome]] = {}
        self._heads: dict[int, int] = defaultdict(int)
        self._last_partition: int | None = None
        self._commands_to_lose = 0
        self._answers_to_lose = 0
        self._events_to_lose = 0
        self._subscriptions: list[Subscription] = []

    def account(self, account_id: UUID) -> BankAccount:
        """Return an account as it is now, a copy.

        Raises:
            KeyError: it was not opened.
        """
        if account_id not in self._histories:
            raise KeyError(account_id)
        return BankAccount.replay(account_id, self._histories[account_id])

    def history(self, account_id: UUID) -> list[AccountEvent]:
        """Return the events of an account, none when it was not opened."""
        return list(self._histories.get(account_id, ()))

    def lose_next_command(self) -> None:
        """Lose the next command on its way: `OutcomeUnknown`, and nothing has happened."""
        self._commands_to_lose += 1

    def lose_next_answer(self) -> None:
        """Lose the answer to the next command: `OutcomeUnknown`, and it was decided."""
        self._answers_to_lose += 1

    def lose_next_event(self) -> None:
        """Do not publish the next event: subscribers see a gap in front of the one after it."""
        self._events_to_lose += 1

    def repeat_last_event(self) -> None:
        """Publish the newest event once more: subscribers do not see it twice.

        Raises:
            LookupError: nothing was published yet.
        """
        if self._last_partition is None:
            message = "nothing was published yet"
            raise LookupError(message)
        record = self._log.partitions[self._last_partition][-1]
        self._log.append(self._last_partition, (record.key, record.value, record.headers))

    async def execute(
        self,
        command: Command,
        *,
        command_id: UUID | str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,  # noqa: ARG002, ASYNC109 - nobody waits here
        **context: Unpack[Context],
    ) -> Outcome:
        """Decide a command, or answer it again."""
        message = self._read(command, command_id, context)
        await asyncio.sleep(0)
        outcome = self._answer(message)
        if self._answers_to_lose:
            self._answers_to_lose -= 1
            raise OutcomeUnknown(message.command_id, "the answer was lost")
        return outcome

    async def send(
        self,
        command: Command,
        *,
        command_id: UUID | str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,  # noqa: ARG002, ASYNC109 - nobody waits here
        **context: Unpack[Context],
    ) -> UUID:
        """Decide a command and return its id."""
        message = self._read(command, command_id, context)
        await asyncio.sleep(0)
        self._answer(message)
        return message.command_id

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
            partial(self._log.member, checked_group(group, self._topics)),
            self._topics.partitions,
            types=types,
            from_=from_,
            on_gap=on_gap,
            max_in_flight=max_in_flight,
        )
        self._subscriptions.append(subscription)
        return subscription

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Close the subscriptions."""
        await asyncio.gather(*(subscription.aclose() for subscription in self._subscriptions))
        self._subscriptions.clear()

    def _read(
        self, command: Command, command_id: UUID | str | None, context: Context
    ) -> CommandMessage:
        _, message = encoded(command, command_id_of(command_id), _SOURCE, **context)
        if self._commands_to_lose:
            self._commands_to_lose -= 1
            raise OutcomeUnknown(message.command_id, "the command was lost")
        return message

    def _answer(self, message: CommandMessage) -> Outcome:
        known = self._decided.get(message.command_id)
        if known is None:
            outcome = self._decide(message)
            self._decided[message.command_id] = message.request_hash, outcome
            return outcome
        request_hash, outcome = known
        if request_hash != message.request_hash:
            return self._refusal(message, Refusal(CONFLICT, CONFLICT_MESSAGE))
        return outcome

    def _decide(self, message: CommandMessage) -> Outcome:
        try:
            account = execute(self._accounts.get(message.account_id), message.command, self._stamp)
        except AccountError as refusal:
            return self._refusal(message, Refusal(refusal.code, str(refusal)))
        (event,) = account.pending_events
        account.clear_pending()
        self._accounts[account.id] = account
        self._histories[account.id].append(event)
        self._publish(event, message)
        return Outcome(
            message.command_id, account.id, "accepted", event.version, (event.event_id,), None
        )

    def _refusal(self, message: CommandMessage, refusal: Refusal) -> Outcome:
        account = self._accounts.get(message.account_id)
        version = 0 if account is None else account.version
        return Outcome(message.command_id, message.account_id, "rejected", version, (), refusal)

    def _publish(self, event: AccountEvent, message: CommandMessage) -> None:
        slot = slot_of(event.account_id)
        self._heads[slot] += 1
        if self._events_to_lose:
            self._events_to_lose -= 1
            return
        key = str(event.account_id).encode()
        context = {"command_id": str(message.command_id), **message.context}
        headers = encode_headers(
            slot,
            self._heads[slot],
            key,
            event.version,
            event.event_id,
            event.event_type,
            event.schema_version,
            orjson.dumps(context).decode(),
            event.occurred_at,
            event.occurred_at,
        )
        self._last_partition = partition_of(slot, self._topics.partitions)
        self._log.append(self._last_partition, (key, orjson.dumps(event.data), headers))
