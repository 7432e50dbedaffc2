"""Accounts, rows and outcomes to put into a store."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from passbook.domain.account import BankAccount
from passbook.domain.slots import slot_of
from passbook.eventstore.store import CommandOutcome, NewEvent, new_event

MOMENT = datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC)


def account_ids(slot: int) -> Iterator[UUID]:
    """Yield new account ids that all live in one slot."""
    while True:
        account_id = uuid4()
        if slot_of(account_id) == slot:
            yield account_id


def opened(account_id: UUID | None = None, deposit: str = "100.00") -> BankAccount:
    """Return an account that was opened just now; the event is pending."""
    return BankAccount.open(account_id or uuid4(), "Ada", Decimal(deposit))


def busy(account_id: UUID | None = None, movements: int = 3) -> BankAccount:
    """Return an account that was opened and had deposits of 1.00 each; all pending."""
    account = opened(account_id)
    for number in range(movements):
        account.deposit(Decimal("1.00"), f"no. {number}")
    return account


def rows(*accounts: BankAccount, metadata: str = "{}") -> list[NewEvent]:
    """Return the pending events of some accounts as rows, one account after the other."""
    return [
        new_event(slot_of(account.id), account.id, event, metadata)
        for account in accounts
        for event in account.pending_events
    ]


def accepted(events: Sequence[NewEvent], command_id: UUID | None = None) -> CommandOutcome:
    """Return the outcome of a command that caused `events`, all of one account."""
    return CommandOutcome(
        command_id or uuid4(),
        b"request hash 16.",
        events[-1].stream_id,
        events[-1].version,
        tuple(event.event_id for event in events),
        None,
        None,
        MOMENT,
    )


def rejected(account_id: UUID | None, command_id: UUID | None = None) -> CommandOutcome:
    """Return the outcome of a command that was refused."""
    return CommandOutcome(
        command_id or uuid4(),
        b"request hash 16.",
        account_id,
        0,
        (),
        "account_not_found",
        f"Account {account_id} not found",
        MOMENT,
    )
