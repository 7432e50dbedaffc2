"""What can be asked of the bank, and the one function that answers.

Commands are plain values; amounts and texts in them are already clean (see `money`, `text`).
`expected_version`, when given, must be the account's version at the moment of decision.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import assert_never
from uuid import UUID

from passbook.domain.account import BankAccount
from passbook.domain.errors import AccountAlreadyExists, AccountDoesNotExist, VersionMismatch
from passbook.domain.stamps import Stamp, system_stamp


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Open `account_id` for `owner_name` with a first deposit."""

    account_id: UUID
    owner_name: str
    initial_deposit: Decimal
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class DepositMoney:
    """Put `amount` into the account."""

    account_id: UUID
    amount: Decimal
    reference: str = ""
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class WithdrawMoney:
    """Take `amount` out of the account."""

    account_id: UUID
    amount: Decimal
    reference: str = ""
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class FreezeAccount:
    """Stop all movements of the account."""

    account_id: UUID
    reason: str
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class CloseAccount:
    """Close the account, also a frozen one."""

    account_id: UUID
    expected_version: int | None = None


Command = OpenAccount | DepositMoney | WithdrawMoney | FreezeAccount | CloseAccount


def execute(
    account: BankAccount | None, command: Command, stamp: Stamp = system_stamp
) -> BankAccount:
    """Carry out `command` on `account` (None when its stream is empty).

    Returns the account after it, which is `account` itself unless it was opened just now; its
    newest pending event is what happened.

    Raises:
        AccountError: a rule refused the command; nothing changed.
    """
    expected = command.expected_version
    if account is None:
        if not isinstance(command, OpenAccount):
            raise AccountDoesNotExist(command.account_id)
        if expected is not None and expected != 0:
            raise VersionMismatch(expected, 0)
        return BankAccount.open(
            command.account_id, command.owner_name, command.initial_deposit, stamp=stamp
        )
    if isinstance(command, OpenAccount):
        raise AccountAlreadyExists(command.account_id)
    if expected is not None and expected != account.version:
        raise VersionMismatch(expected, account.version)
    match command:
        case DepositMoney():
            account.deposit(command.amount, command.reference, stamp=stamp)
        case WithdrawMoney():
            account.withdraw(command.amount, command.reference, stamp=stamp)
        case FreezeAccount():
            account.freeze(command.reason, stamp=stamp)
        case CloseAccount():
            account.close(stamp=stamp)
        case _:
            assert_never(command)
    return account
