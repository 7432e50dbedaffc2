"""The bank as its users see it: what `PassbookClient` and the fake for their tests have in common."""

from abc import abstractmethod
from decimal import Decimal
from types import TracebackType
from typing import Final, Protocol, Self, TypedDict, Unpack, cast
from uuid import UUID

from passbook.client.arguments import account_opened_by, amount_of, command_id_of, id_of
from passbook.client.errors import CommandRejected
from passbook.client.intake import OnGap
from passbook.client.outcome import Outcome
from passbook.client.subscription import DEFAULT_MAX_IN_FLIGHT, From, Subscription, Types
from passbook.domain.commands import (
    CloseAccount,
    Command,
    DepositMoney,
    FreezeAccount,
    OpenAccount,
    WithdrawMoney,
)

DEFAULT_TIMEOUT_S: Final = 10.0


class Context(TypedDict, total=False):
    """What is kept with a command and copied to everything it causes: who wanted it, which
    conversation it belongs to, and the W3C trace.
    """

    actor: str
    correlation_id: str
    traceparent: str


_CONTEXT: Final = ("actor", "correlation_id", "traceparent")


class Asking(Context, total=False):
    """How a command is asked for.

    `command_id` is the key of idempotency: with one that you have stored you can ask again, also
    after a time-out or a crash; without it there is a new one. `timeout` is in seconds, 10 unless
    given. `expected_version` is the version that the account must have when it is decided.
    """

    command_id: UUID | str | None
    timeout: float
    expected_version: int | None


class Bank(Protocol):
    """Commands in, outcomes and events out, for as long as an `async with` block.

    Every method that sends a command raises `OutcomeUnknown` when there is no answer in time, which
    carries the command id, and `MalformedValue` or `TypeError`, before anything is sent, for values
    that the bank would not understand.
    """

    @abstractmethod
    async def __aenter__(self) -> Self:
        """Connect."""

    @abstractmethod
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        """End its subscriptions, and disconnect."""

    @abstractmethod
    async def execute(
        self,
        command: Command,
        *,
        command_id: UUID | str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,  # noqa: ASYNC109 - the public name
        **context: Unpack[Context],
    ) -> Outcome:
        """Send a command and return its outcome, also when that is a rejection."""

    @abstractmethod
    async def send(
        self,
        command: Command,
        *,
        command_id: UUID | str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,  # noqa: ASYNC109 - the public name
        **context: Unpack[Context],
    ) -> UUID:
        """Return the command's id as soon as the command is stored; nobody waits for the outcome."""

    @abstractmethod
    def subscribe(
        self,
        *,
        group: str,
        types: Types | None = None,
        from_: From = "beginning",
        on_gap: OnGap | None = None,
        max_in_flight: int = DEFAULT_MAX_IN_FLIGHT,
    ) -> Subscription:
        """Return the events that `group` has not acknowledged yet, to iterate over.

        A group that is new begins at the first event of the ledger, or with `from_="now"` at the
        moment; one that is known goes on where it was. `types` are classes of events or their
        names, None is all. `max_in_flight` events at most are handed out and not acknowledged.

        A slot whose next number is not there stops the iteration with `EventsMissing`; `on_gap`,
        a function or an async one, is told instead, and it goes on behind the gap.

        Raises:
            ValueError, TypeError: an option has no such value.
        """

    async def open_account(
        self,
        owner: str,
        deposit: Decimal | str | int,
        *,
        account_id: UUID | str | None = None,
        **asking: Unpack[Asking],
    ) -> Outcome:
        """Open an account and return the accepted outcome, whose `account_id` is the new account.

        Without an `account_id` there is a new one, which is made from the command's id.

        Raises:
            CommandRejected: `minimum_deposit`, `balance_limit`, `account_already_exists`.
        """
        command_id = asking["command_id"] = command_id_of(asking.get("command_id"))
        account = account_opened_by(command_id) if account_id is None else id_of(account_id)
        command = OpenAccount(account, owner, amount_of(deposit), asking.get("expected_version"))
        return await self._accepted(command, asking)

    async def deposit(
        self,
        account_id: UUID | str,
        amount: Decimal | str | int,
        reference: str = "",
        **asking: Unpack[Asking],
    ) -> Outcome:
        """Put money in and return the accepted outcome.

        Raises:
            CommandRejected: `account_not_found`, `account_not_active`, `amount_not_positive`,
                `balance_limit`, `version_mismatch`.
        """
        command = DepositMoney(
            id_of(account_id), amount_of(amount), reference, asking.get("expected_version")
        )
        return await self._accepted(command, asking)

    async def withdraw(
        self,
        account_id: UUID | str,
        amount: Decimal | str | int,
        reference: str = "",
        **asking: Unpack[Asking],
    ) -> Outcome:
        """Take money out and return the accepted outcome.

        Raises:
            CommandRejected: `insufficient_funds`, and what `deposit` says.
        """
        command = WithdrawMoney(
            id_of(account_id), amount_of(amount), reference, asking.get("expected_version")
        )
        return await self._accepted(command, asking)

    async def freeze(
        self, account_id: UUID | str, reason: str, **asking: Unpack[Asking]
    ) -> Outcome:
        """Stop all movements of the account and return the accepted outcome.

        Raises:
            CommandRejected: `account_not_found`, `account_not_active`, `version_mismatch`.
        """
        command = FreezeAccount(id_of(account_id), reason, asking.get("expected_version"))
        return await self._accepted(command, asking)

    async def close(self, account_id: UUID | str, **asking: Unpack[Asking]) -> Outcome:
        """Close the account, also a frozen one, and return the accepted outcome.

        Raises:
            CommandRejected: `account_not_found`, `account_closed`, `version_mismatch`.
        """
        command = CloseAccount(id_of(account_id), asking.get("expected_version"))
        return await self._accepted(command, asking)

    async def _accepted(self, command: Command, asking: Asking) -> Outcome:
        outcome = await self.execute(
            command,
            command_id=asking.get("command_id"),
            timeout=asking.get("timeout", DEFAULT_TIMEOUT_S),
            **cast("Context", {name: asking[name] for name in _CONTEXT if name in asking}),
        )
        if outcome.error is None:
            return outcome
        code, message = outcome.error.code, outcome.error.message
        raise CommandRejected(code, message, outcome.version, outcome)
