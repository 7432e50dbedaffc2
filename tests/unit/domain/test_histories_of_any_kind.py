"""Random histories of commands: what must hold whatever is asked in whatever order."""

from decimal import Decimal
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from passbook.domain.account import AccountStatus, BankAccount
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
from passbook.domain.events import AccountEvent, AccountOpened, MoneyDeposited, MoneyWithdrawn
from passbook.domain.money import MAXIMUM_BALANCE
from tests.unit.domain.histories import ID

_CENTS: Final = st.one_of(
    st.integers(-100, 50_000), st.integers(0, 999_999_999_999_999), st.just(999_999_999_999_999)
)
_AMOUNTS: Final = _CENTS.map(lambda cents: Decimal(cents).scaleb(-2))
_EXPECTED: Final = st.one_of(st.none(), st.integers(0, 8))
_COMMANDS: Final = st.one_of(
    st.builds(OpenAccount, st.just(ID), st.just("Ada"), _AMOUNTS, _EXPECTED),
    st.builds(DepositMoney, st.just(ID), _AMOUNTS, st.just("in")),
    st.builds(DepositMoney, st.just(ID), _AMOUNTS, st.just("in"), _EXPECTED),
    st.builds(WithdrawMoney, st.just(ID), _AMOUNTS, st.just("out")),
    st.builds(WithdrawMoney, st.just(ID), _AMOUNTS, st.just("out"), _EXPECTED),
    st.builds(FreezeAccount, st.just(ID), st.just("why"), _EXPECTED),
    st.builds(CloseAccount, st.just(ID), _EXPECTED),
)
_HISTORIES: Final = st.lists(_COMMANDS, max_size=25)


def _play(commands: list[Command]) -> tuple[BankAccount | None, list[AccountEvent]]:
    account: BankAccount | None = None
    for command in commands:
        try:
            account = execute(account, command)
        except AccountError:
            continue
    return account, [] if account is None else account.pending_events


def _state(account: BankAccount) -> tuple[object, ...]:
    return account.id, account.owner_name, account.balance, account.status, account.version


@given(_HISTORIES)
def test_invariant_7_the_balance_is_deposits_minus_withdrawals(commands: list[Command]) -> None:
    """Exactly, to the cent, and always between nothing and the limit.

    Seen to fail: with `apply` rounding a balance to whole units, and with the check of funds gone.
    """
    account, events = _play(commands)
    cents = 0
    for event in events:
        match event:
            case AccountOpened():
                cents += int(event.initial_deposit * 100)
            case MoneyDeposited():
                cents += int(event.amount * 100)
            case MoneyWithdrawn():
                cents -= int(event.amount * 100)
            case _:
                pass
    if account is not None:
        assert int(account.balance * 100) == cents
        assert account.balance.as_tuple().exponent == -2
        assert 0 <= account.balance <= MAXIMUM_BALANCE


@given(_HISTORIES)
def test_invariant_5_replaying_the_events_gives_the_account_that_made_them(
    commands: list[Command],
) -> None:
    """Seen to fail: with a command that changes the state beside its event."""
    account, events = _play(commands)
    if account is not None:
        assert _state(BankAccount.replay(ID, events)) == _state(account)


@given(_HISTORIES)
def test_versions_count_the_events(commands: list[Command]) -> None:
    _, events = _play(commands)
    assert [event.version for event in events] == list(range(1, len(events) + 1))


@given(_HISTORIES)
def test_nothing_moves_after_the_end(commands: list[Command]) -> None:
    account, events = _play(commands)
    if account is not None and account.status is AccountStatus.CLOSED:
        closings = [event.event_type == "AccountClosed" for event in events]
        assert closings == [False] * (len(events) - 1) + [True]
