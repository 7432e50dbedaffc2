"""The aggregate: every rule of the bank, in the order in which the rules are checked.

A command method checks, makes one event, applies it and remembers it as pending. `apply` folds an
event into the state and never refuses: what has happened has happened.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, Self, TypedDict, assert_never, final
from uuid import UUID

from passbook.domain.errors import (
    AccountIsClosed,
    AccountNotActive,
    AmountNotPositive,
    BalanceLimitExceeded,
    InsufficientFunds,
    MinimumDeposit,
)
from passbook.domain.events import (
    AccountClosed,
    AccountEvent,
    AccountFrozen,
    AccountOpened,
    MoneyDeposited,
    MoneyWithdrawn,
)
from passbook.domain.money import MAXIMUM_BALANCE, MINIMUM_OPENING_DEPOSIT, ZERO, to_money
from passbook.domain.stamps import Stamp, system_stamp
from passbook.domain.text import clean_name, clean_text

FOLD_VERSION: Final = 1
"""Counts up with every change by which the same history folds into another state, or the state has
other parts: states that were stored before are then left alone, and replayed."""


class _Envelope(TypedDict):
    event_id: UUID
    occurred_at: datetime
    version: int


class AccountStatus(StrEnum):
    """Where an account is in its life. The values are stored and published."""

    ACTIVE = "active"
    FROZEN = "frozen"
    CLOSED = "closed"


@final
class BankAccount:
    """One account, as far as its events tell. Version 0 is an account that is not opened yet."""

    __slots__ = ("balance", "id", "owner_name", "pending_events", "status", "version")

    def __init__(self, account_id: UUID) -> None:
        """Start with an empty history; use `open` for a new account, `replay` for a stored one."""
        self.id = account_id
        self.owner_name = ""
        self.balance = ZERO
        self.status = AccountStatus.ACTIVE
        self.version = 0
        self.pending_events: list[AccountEvent] = []

    @classmethod
    def open(
        cls,
        account_id: UUID,
        owner_name: str,
        initial_deposit: Decimal,
        *,
        stamp: Stamp = system_stamp,
    ) -> Self:
        """Open an account: version 1, one pending event.

        Raises:
            MinimumDeposit: less than 100.00.
            BalanceLimitExceeded: more than an account can hold.
            MalformedValue: the name or amount is none.
        """
        deposit = to_money(initial_deposit)
        name = clean_name(owner_name)
        if deposit < MINIMUM_OPENING_DEPOSIT:
            raise MinimumDeposit
        if deposit > MAXIMUM_BALANCE:
            raise BalanceLimitExceeded
        account = cls(account_id)
        account._happen(AccountOpened(account_id, name, deposit, **account._envelope(stamp)))
        return account

    @classmethod
    def replay(cls, account_id: UUID, events: Iterable[AccountEvent]) -> Self:
        """Return the account that `events`, its history from version 1 on, lead to."""
        account = cls(account_id)
        for event in events:
            account.apply(event)
        return account

    def deposit(self, amount: Decimal, reference: str = "", *, stamp: Stamp = system_stamp) -> None:
        """Put money in.

        Raises:
            AccountNotActive, AmountNotPositive, BalanceLimitExceeded: nothing changed.
        """
        amount = to_money(amount)
        if self.status is not AccountStatus.ACTIVE:
            message = f"Cannot deposit to {self.status} account"
            raise AccountNotActive(message)
        if amount <= ZERO:
            operation = "Deposit"
            raise AmountNotPositive(operation)
        if self.balance + amount > MAXIMUM_BALANCE:
            raise BalanceLimitExceeded
        self._happen(
            MoneyDeposited(
                self.id,
                amount,
                clean_text(reference),
                **self._envelope(stamp),
            )
        )

    def withdraw(
        self, amount: Decimal, reference: str = "", *, stamp: Stamp = system_stamp
    ) -> None:
        """Take money out.

        Raises:
            AccountNotActive, AmountNotPositive, InsufficientFunds: nothing changed.
        """
        amount = to_money(amount)
        if self.status is not AccountStatus.ACTIVE:
            message = f"Cannot withdraw from {self.status} account"
            raise AccountNotActive(message)
        if amount <= ZERO:
            operation = "Withdrawal"
            raise AmountNotPositive(operation)
        if amount > self.balance:
            raise InsufficientFunds(self.balance, amount)
        self._happen(
            MoneyWithdrawn(
                self.id,
                amount,
                clean_text(reference),
                **self._envelope(stamp),
            )
        )

    def freeze(self, reason: str, *, stamp: Stamp = system_stamp) -> None:
        """Stop all movements.

        Raises:
            AccountNotActive: frozen or closed already.
        """
        if self.status is not AccountStatus.ACTIVE:
            message = "Only active accounts can be frozen"
            raise AccountNotActive(message)
        self._happen(
            AccountFrozen(
                self.id,
                clean_text(reason),
                **self._envelope(stamp),
            )
        )

    def close(self, *, stamp: Stamp = system_stamp) -> None:
        """Close the account, active or frozen; its balance stays on record.

        Raises:
            AccountIsClosed: closed already.
        """
        if self.status is AccountStatus.CLOSED:
            raise AccountIsClosed
        self._happen(
            AccountClosed(
                self.id,
                self.balance,
                **self._envelope(stamp),
            )
        )

    def apply(self, event: AccountEvent) -> None:
        """Fold one event into the state."""
        match event:
            case MoneyDeposited():
                self.balance += event.amount
            case MoneyWithdrawn():
                self.balance -= event.amount
            case AccountOpened():
                self.owner_name = event.owner_name
                self.balance = event.initial_deposit
            case AccountFrozen():
                self.status = AccountStatus.FROZEN
            case AccountClosed():
                self.status = AccountStatus.CLOSED
            case _:
                assert_never(event)
        self.version = event.version

    def clear_pending(self) -> None:
        """Forget the pending events: they are stored now."""
        self.pending_events.clear()

    def _envelope(self, stamp: Stamp) -> _Envelope:
        event_id, occurred_at = stamp()
        return {"event_id": event_id, "occurred_at": occurred_at, "version": self.version + 1}

    def _happen(self, event: AccountEvent) -> None:
        self.apply(event)
        self.pending_events.append(event)
