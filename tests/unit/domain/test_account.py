"""The aggregate by its events: given a history, when something is asked, then this happens."""

from decimal import Decimal

import pytest

from passbook.domain.account import AccountStatus, BankAccount
from passbook.domain.errors import AccountNotActive, InsufficientFunds, MalformedValue
from passbook.domain.stamps import system_stamp
from tests.unit.domain.histories import (
    ACTIVE,
    CLOSED,
    FROZEN,
    ID,
    Step,
    given,
    stamp,
    was_closed,
    was_deposited,
    was_frozen,
    was_opened,
    was_withdrawn,
)


def test_opening_is_the_first_event() -> None:
    account = BankAccount.open(ID, "Ada", Decimal(500), stamp=stamp)
    assert account.pending_events == [was_opened("500.00")(1)]
    assert (account.id, account.owner_name, account.version) == (ID, "Ada", 1)
    assert (account.balance, account.status) == (Decimal("500.00"), AccountStatus.ACTIVE)


def test_a_deposit_adds_to_the_balance() -> None:
    account = given(was_opened("100.00"))
    account.deposit(Decimal("0.5"), "salary", stamp=stamp)
    assert account.pending_events == [was_deposited("0.50", "salary")(2)]
    assert (account.balance, account.version) == (Decimal("100.50"), 2)


def test_a_withdrawal_takes_from_the_balance() -> None:
    account = given(was_opened("100.00"), was_deposited("20.00"))
    account.withdraw(Decimal("0.01"), "coffee", stamp=stamp)
    assert account.pending_events == [was_withdrawn("0.01", "coffee")(3)]
    assert account.balance == Decimal("119.99")


def test_everything_can_be_withdrawn() -> None:
    account = given(was_opened("100.00"))
    account.withdraw(Decimal("100.00"), stamp=stamp)
    assert account.balance == Decimal("0.00")
    assert str(account.balance) == "0.00"


def test_a_reference_may_be_missing() -> None:
    account = given(*ACTIVE)
    account.deposit(Decimal("1.00"), stamp=stamp)
    account.withdraw(Decimal("1.00"), stamp=stamp)
    assert account.pending_events == [was_deposited("1.00")(2), was_withdrawn("1.00")(3)]


def test_freezing_stops_movements_and_keeps_the_balance() -> None:
    account = given(*ACTIVE)
    account.freeze("court order", stamp=stamp)
    assert account.pending_events == [was_frozen("court order")(2)]
    assert (account.status, account.balance) == (AccountStatus.FROZEN, Decimal("100.00"))


@pytest.mark.parametrize("history", [ACTIVE, FROZEN], ids=["active", "frozen"])
def test_an_account_closes_with_its_balance_on_record(history: tuple[Step, ...]) -> None:
    account = given(*history)
    account.close(stamp=stamp)
    assert account.pending_events == [was_closed("100.00")(len(history) + 1)]
    assert (account.status, account.balance) == (AccountStatus.CLOSED, Decimal("100.00"))


def test_one_account_can_do_several_things_before_it_is_saved() -> None:
    account = BankAccount.open(ID, "Ada", Decimal(500), stamp=stamp)
    account.deposit(Decimal(200), "salary", stamp=stamp)
    account.withdraw(Decimal(50), "coffee", stamp=stamp)
    account.freeze("court order", stamp=stamp)
    account.close(stamp=stamp)
    assert account.pending_events == [
        was_opened("500.00")(1),
        was_deposited("200.00", "salary")(2),
        was_withdrawn("50.00", "coffee")(3),
        was_frozen("court order")(4),
        was_closed("650.00")(5),
    ]


def test_clearing_forgets_the_events_and_not_the_state() -> None:
    account = BankAccount.open(ID, "Ada", Decimal(500))
    account.clear_pending()
    assert account.pending_events == []
    assert (account.balance, account.version) == (Decimal("500.00"), 1)


def test_a_refusal_changes_nothing() -> None:
    account = given(was_opened("100.00"))
    with pytest.raises(InsufficientFunds):
        account.withdraw(Decimal("100.01"))
    assert (account.balance, account.version, account.pending_events) == (Decimal("100.00"), 1, [])


@pytest.mark.parametrize("history", [FROZEN, CLOSED], ids=["frozen", "closed"])
def test_an_account_that_is_not_active_refuses_to_move_even_nothing(
    history: tuple[Step, ...],
) -> None:
    with pytest.raises(AccountNotActive):
        given(*history).deposit(Decimal("0.00"))
    with pytest.raises(AccountNotActive):
        given(*history).withdraw(Decimal("-1.00"))


@pytest.mark.parametrize("amount", ["NaN", "sNaN", "Infinity", "-Infinity", "0.005", "1E+20"])
def test_what_is_no_money_is_malformed_before_any_rule(amount: str) -> None:
    with pytest.raises(MalformedValue):
        given(*CLOSED).deposit(Decimal(amount))
    with pytest.raises(MalformedValue):
        given(*CLOSED).withdraw(Decimal(amount))
    with pytest.raises(MalformedValue):
        BankAccount.open(ID, "Ada", Decimal(amount))


def test_floats_are_no_money() -> None:
    with pytest.raises(TypeError, match="money is Decimal, not float"):
        given(*ACTIVE).deposit(1.10)  # type: ignore[arg-type]


def test_a_text_that_cannot_be_stored_is_malformed_and_changes_nothing() -> None:
    account = given(*ACTIVE)
    with pytest.raises(MalformedValue):
        account.deposit(Decimal("1.00"), "a\0b")
    with pytest.raises(MalformedValue):
        account.withdraw(Decimal("1.00"), "\ud800")
    with pytest.raises(MalformedValue):
        account.freeze("x" * 201)
    assert (account.balance, account.version, account.pending_events) == (Decimal("100.00"), 1, [])


def test_texts_are_stored_in_normal_form() -> None:
    account = BankAccount.open(ID, "Zoe\u0308", Decimal(100), stamp=stamp)
    account.freeze("cafe\u0301", stamp=stamp)
    assert account.pending_events == [
        was_opened("100.00", "Zo\u00eb")(1),
        was_frozen("caf\u00e9")(2),
    ]


def test_events_get_their_identity_and_time_from_the_system_by_default() -> None:
    account = BankAccount.open(ID, "Ada", Decimal(100))
    account.deposit(Decimal("1.00"))
    first, second = account.pending_events
    assert first.event_id != second.event_id
    assert first.occurred_at <= second.occurred_at
    assert abs((system_stamp()[1] - first.occurred_at).total_seconds()) < 60


def test_apply_folds_a_foreign_event_without_a_question() -> None:
    account = given(*ACTIVE)
    account.apply(was_withdrawn("250.00")(9))
    assert (account.balance, account.version) == (Decimal("-150.00"), 9)
    assert account.pending_events == []
