"""Histories of any kind: random commands, of which many are refused, played on one account."""

from decimal import Decimal
from typing import Final

from hypothesis import strategies as st

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
from passbook.domain.events import AccountEvent
from tests.unit.domain.histories import ID

_CENTS: Final = st.one_of(
    st.integers(-100, 50_000), st.integers(0, 999_999_999_999_999), st.just(999_999_999_999_999)
)
_AMOUNTS: Final = _CENTS.map(lambda cents: Decimal(cents).scaleb(-2))
_EXPECTED: Final = st.one_of(st.none(), st.integers(0, 8))
_NAMES: Final = st.one_of(st.just("Ada"), st.text("aÅ 𝄞\"\\/'<é\u0301", min_size=1, max_size=20))
_COMMANDS: Final = st.one_of(
    st.builds(OpenAccount, st.just(ID), _NAMES, _AMOUNTS, _EXPECTED),
    st.builds(DepositMoney, st.just(ID), _AMOUNTS, st.just("in")),
    st.builds(DepositMoney, st.just(ID), _AMOUNTS, st.just("in"), _EXPECTED),
    st.builds(WithdrawMoney, st.just(ID), _AMOUNTS, st.just("out")),
    st.builds(WithdrawMoney, st.just(ID), _AMOUNTS, st.just("out"), _EXPECTED),
    st.builds(FreezeAccount, st.just(ID), st.just("why"), _EXPECTED),
    st.builds(CloseAccount, st.just(ID), _EXPECTED),
)
HISTORIES: Final = st.lists(_COMMANDS, max_size=25)


def _opened(name: str, commands: list[Command]) -> list[Command]:
    return [OpenAccount(ID, name, Decimal("500.00")), *commands]


HISTORIES_OF_OPEN_ACCOUNTS: Final = st.builds(_opened, _NAMES, HISTORIES)
"""The first command opens the account."""


def play(commands: list[Command]) -> tuple[BankAccount | None, list[AccountEvent]]:
    """Return the account that the commands lead to, None while it is not open, and its events."""
    account: BankAccount | None = None
    for command in commands:
        try:
            account = execute(account, command)
        except AccountError:
            continue
    return account, [] if account is None else account.pending_events
