"""Given, when, then: histories to start from, a stamp that never surprises, what came out."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from passbook.domain.account import BankAccount
from passbook.domain.events import (
    AccountClosed,
    AccountEvent,
    AccountFrozen,
    AccountOpened,
    MoneyDeposited,
    MoneyWithdrawn,
)

ID = UUID("0b5e8a9c-6f1d-4a34-9a57-0d5f0f6f3a11")
EVENT_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
MOMENT = datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC)

Step = Callable[[int], AccountEvent]


def stamp() -> tuple[UUID, datetime]:
    """Return always the same identity and time."""
    return EVENT_ID, MOMENT


def was_opened(deposit: str = "100.00", owner: str = "Ada") -> Step:
    """Have an `AccountOpened` in the history."""
    return lambda version: AccountOpened(
        ID, owner, Decimal(deposit), event_id=EVENT_ID, occurred_at=MOMENT, version=version
    )


def was_deposited(amount: str, reference: str = "") -> Step:
    """Have a `MoneyDeposited` in the history."""
    return lambda version: MoneyDeposited(
        ID, Decimal(amount), reference, event_id=EVENT_ID, occurred_at=MOMENT, version=version
    )


def was_withdrawn(amount: str, reference: str = "") -> Step:
    """Have a `MoneyWithdrawn` in the history."""
    return lambda version: MoneyWithdrawn(
        ID, Decimal(amount), reference, event_id=EVENT_ID, occurred_at=MOMENT, version=version
    )


def was_frozen(reason: str = "") -> Step:
    """Have an `AccountFrozen` in the history."""
    return lambda version: AccountFrozen(
        ID, reason, event_id=EVENT_ID, occurred_at=MOMENT, version=version
    )


def was_closed(balance: str) -> Step:
    """Have an `AccountClosed` in the history."""
    return lambda version: AccountClosed(
        ID, Decimal(balance), event_id=EVENT_ID, occurred_at=MOMENT, version=version
    )


def given(*steps: Step) -> BankAccount:
    """Return the account with this history, nothing pending."""
    return BankAccount.replay(ID, [step(version) for version, step in enumerate(steps, start=1)])


ACTIVE = (was_opened("100.00"),)
FROZEN = (was_opened("100.00"), was_frozen("court order"))
CLOSED = (was_opened("100.00"), was_closed("100.00"))
"""Histories that lead to each status, all with a balance of 100.00."""
