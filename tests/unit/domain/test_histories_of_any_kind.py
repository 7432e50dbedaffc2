"""Random histories of commands: what must hold whatever is asked in whatever order."""

from hypothesis import given

from passbook.domain.account import AccountStatus, BankAccount
from passbook.domain.commands import Command
from passbook.domain.events import AccountOpened, MoneyDeposited, MoneyWithdrawn
from passbook.domain.money import MAXIMUM_BALANCE
from tests.unit.domain.any_history import HISTORIES, play
from tests.unit.domain.histories import ID


def _state(account: BankAccount) -> tuple[object, ...]:
    return account.id, account.owner_name, account.balance, account.status, account.version


@given(HISTORIES)
def test_invariant_7_the_balance_is_deposits_minus_withdrawals(commands: list[Command]) -> None:
    """Exactly, to the cent, and always between nothing and the limit.

    Seen to fail: with `apply` rounding a balance to whole units, and with the check of funds gone.
    """
    account, events = play(commands)
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


@given(HISTORIES)
def test_invariant_5_replaying_the_events_gives_the_account_that_made_them(
    commands: list[Command],
) -> None:
    """Seen to fail: with a command that changes the state beside its event."""
    account, events = play(commands)
    if account is not None:
        assert _state(BankAccount.replay(ID, events)) == _state(account)


@given(HISTORIES)
def test_versions_count_the_events(commands: list[Command]) -> None:
    _, events = play(commands)
    assert [event.version for event in events] == list(range(1, len(events) + 1))


@given(HISTORIES)
def test_nothing_moves_after_the_end(commands: list[Command]) -> None:
    account, events = play(commands)
    if account is not None and account.status is AccountStatus.CLOSED:
        closings = [event.event_type == "AccountClosed" for event in events]
        assert closings == [False] * (len(events) - 1) + [True]
