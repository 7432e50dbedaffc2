"""Every rule: which command, on an account in which state, is refused with which words."""

from dataclasses import replace
from decimal import Decimal
from typing import Final

import pytest

from passbook.domain.account import BankAccount
from passbook.domain.commands import (
    CloseAccount,
    Command,
    DepositMoney,
    FreezeAccount,
    OpenAccount,
    WithdrawMoney,
    execute,
)
from passbook.domain.errors import AccountError
from tests.unit.domain.histories import ACTIVE, CLOSED, FROZEN, ID, Step, given, was_opened

_OPEN: Final = OpenAccount(ID, "Ada", Decimal("100.00"))
_DEPOSIT: Final = DepositMoney(ID, Decimal("1.00"))
_WITHDRAW: Final = WithdrawMoney(ID, Decimal("1.00"))
_FREEZE: Final = FreezeAccount(ID, "court order")
_CLOSE: Final = CloseAccount(ID)
_NOTHING: Final[tuple[Step, ...]] = ()
_FULL: Final = (was_opened("9999999999999.99"),)

_EXISTS: Final = ("account_already_exists", f"Account {ID} already exists")
_MISSING: Final = ("account_not_found", f"Account {ID} not found")
_NO_DEPOSIT: Final = "Cannot deposit to {} account"
_NO_WITHDRAWAL: Final = "Cannot withdraw from {} account"
_NOT_FROZEN: Final = ("account_not_active", "Only active accounts can be frozen")
_CLOSED_ALREADY: Final = ("account_closed", "Account is already closed")
_ZERO_DEPOSIT: Final = ("amount_not_positive", "Deposit amount must be positive")
_ZERO_WITHDRAWAL: Final = ("amount_not_positive", "Withdrawal amount must be positive")
_LIMIT: Final = ("balance_limit", "Balance limit exceeded")
_MINIMUM: Final = ("minimum_deposit", "Minimum opening deposit is $100")


def _answer(history: tuple[Step, ...], command: Command) -> tuple[str, str] | str:
    """Return (code, message) of the refusal, or what happened."""
    account = given(*history) if history else None
    try:
        return execute(account, command).pending_events[-1].event_type
    except AccountError as refusal:
        return refusal.code, str(refusal)


@pytest.mark.parametrize(
    ("history", "command", "answer"),
    [
        (_NOTHING, _OPEN, "AccountOpened"),
        (ACTIVE, _OPEN, _EXISTS),
        (FROZEN, _OPEN, _EXISTS),
        (CLOSED, _OPEN, _EXISTS),
        (_NOTHING, _DEPOSIT, _MISSING),
        (ACTIVE, _DEPOSIT, "MoneyDeposited"),
        (FROZEN, _DEPOSIT, ("account_not_active", _NO_DEPOSIT.format("frozen"))),
        (CLOSED, _DEPOSIT, ("account_not_active", _NO_DEPOSIT.format("closed"))),
        (_NOTHING, _WITHDRAW, _MISSING),
        (ACTIVE, _WITHDRAW, "MoneyWithdrawn"),
        (FROZEN, _WITHDRAW, ("account_not_active", _NO_WITHDRAWAL.format("frozen"))),
        (CLOSED, _WITHDRAW, ("account_not_active", _NO_WITHDRAWAL.format("closed"))),
        (_NOTHING, _FREEZE, _MISSING),
        (ACTIVE, _FREEZE, "AccountFrozen"),
        (FROZEN, _FREEZE, _NOT_FROZEN),
        (CLOSED, _FREEZE, _NOT_FROZEN),
        (_NOTHING, _CLOSE, _MISSING),
        (ACTIVE, _CLOSE, "AccountClosed"),
        (FROZEN, _CLOSE, "AccountClosed"),
        (CLOSED, _CLOSE, _CLOSED_ALREADY),
    ],
)
def test_every_command_in_every_state(
    history: tuple[Step, ...], command: Command, answer: tuple[str, str] | str
) -> None:
    assert _answer(history, command) == answer


@pytest.mark.parametrize(
    ("history", "command", "answer"),
    [
        (ACTIVE, replace(_DEPOSIT, amount=Decimal("0.00")), _ZERO_DEPOSIT),
        (ACTIVE, replace(_DEPOSIT, amount=Decimal("-5.00")), _ZERO_DEPOSIT),
        (ACTIVE, replace(_WITHDRAW, amount=Decimal("0.00")), _ZERO_WITHDRAWAL),
        (ACTIVE, replace(_WITHDRAW, amount=Decimal("-5.00")), _ZERO_WITHDRAWAL),
        (
            ACTIVE,
            replace(_WITHDRAW, amount=Decimal("100.01")),
            ("insufficient_funds", "Insufficient funds: balance=100.00, requested=100.01"),
        ),
        (
            ACTIVE,
            replace(_WITHDRAW, amount=Decimal(700)),
            ("insufficient_funds", "Insufficient funds: balance=100.00, requested=700.00"),
        ),
        (ACTIVE, replace(_WITHDRAW, amount=Decimal("100.00")), "MoneyWithdrawn"),
        (_FULL, replace(_DEPOSIT, amount=Decimal("0.01")), _LIMIT),
        (ACTIVE, replace(_DEPOSIT, amount=Decimal("9999999999899.99")), "MoneyDeposited"),
        (ACTIVE, replace(_DEPOSIT, amount=Decimal("9999999999900.00")), _LIMIT),
        (_NOTHING, replace(_OPEN, initial_deposit=Decimal("99.99")), _MINIMUM),
        (_NOTHING, replace(_OPEN, initial_deposit=Decimal("0.00")), _MINIMUM),
        (_NOTHING, replace(_OPEN, initial_deposit=Decimal("-100.00")), _MINIMUM),
        (_NOTHING, replace(_OPEN, initial_deposit=Decimal("9999999999999.99")), "AccountOpened"),
        (_NOTHING, replace(_OPEN, initial_deposit=Decimal("10000000000000.00")), _LIMIT),
    ],
)
def test_every_rule_about_amounts_at_its_edge(
    history: tuple[Step, ...], command: Command, answer: tuple[str, str] | str
) -> None:
    assert _answer(history, command) == answer


def _mismatch(expected: int, actual: int) -> tuple[str, str]:
    return "version_mismatch", f"Expected version {expected}, found {actual}"


@pytest.mark.parametrize("command", [_DEPOSIT, _WITHDRAW, _FREEZE, _CLOSE])
def test_a_command_for_another_version_is_refused(command: Command) -> None:
    assert _answer(ACTIVE, replace(command, expected_version=0)) == _mismatch(0, 1)
    assert _answer(ACTIVE, replace(command, expected_version=2)) == _mismatch(2, 1)
    assert isinstance(_answer(ACTIVE, replace(command, expected_version=1)), str)


def test_opening_expects_version_0_or_nothing() -> None:
    assert _answer(_NOTHING, replace(_OPEN, expected_version=0)) == "AccountOpened"
    assert _answer(_NOTHING, replace(_OPEN, expected_version=3)) == _mismatch(3, 0)


@pytest.mark.parametrize(
    ("history", "command", "answer"),
    [
        # exists before version, missing before version, version before status,
        # status before amount, sign before funds and limit
        (ACTIVE, replace(_OPEN, expected_version=7, initial_deposit=Decimal(1)), _EXISTS),
        (_NOTHING, replace(_DEPOSIT, expected_version=7, amount=Decimal(0)), _MISSING),
        (CLOSED, replace(_DEPOSIT, expected_version=7, amount=Decimal(0)), _mismatch(7, 2)),
        (CLOSED, replace(_CLOSE, expected_version=7), _mismatch(7, 2)),
        (FROZEN, replace(_FREEZE, expected_version=7), _mismatch(7, 2)),
        (
            CLOSED,
            replace(_DEPOSIT, amount=Decimal(0)),
            ("account_not_active", _NO_DEPOSIT.format("closed")),
        ),
        (
            FROZEN,
            replace(_WITHDRAW, amount=Decimal(700)),
            ("account_not_active", _NO_WITHDRAWAL.format("frozen")),
        ),
        (_NOTHING, replace(_OPEN, expected_version=7, initial_deposit=Decimal(1)), _mismatch(7, 0)),
    ],
)
def test_the_first_rule_in_the_order_of_the_contract_speaks(
    history: tuple[Step, ...], command: Command, answer: tuple[str, str]
) -> None:
    assert _answer(history, command) == answer


def test_a_refused_command_changes_nothing() -> None:
    account = given(*ACTIVE)
    with pytest.raises(AccountError):
        execute(account, replace(_WITHDRAW, amount=Decimal(700)))
    assert (account.version, account.pending_events) == (1, [])


def test_an_executed_command_returns_the_same_account() -> None:
    account = given(*ACTIVE)
    assert execute(account, _DEPOSIT) is account
    assert isinstance(execute(None, _OPEN), BankAccount)


def test_refusals_are_value_errors() -> None:
    assert issubclass(AccountError, ValueError)
