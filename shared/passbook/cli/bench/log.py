"""A log to measure on, written straight into the event store: no command is decided for it."""

from datetime import datetime
from decimal import Decimal
from typing import Final, TypedDict
from uuid import UUID, uuid4

from passbook.domain.events import AccountEvent, AccountOpened, MoneyDeposited, MoneyWithdrawn
from passbook.domain.slots import SLOT_COUNT, slot_of
from passbook.eventstore.ids import batch_stamp
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.store import NewEvent, new_event

_BATCH: Final = 2_000
_OPENING: Final = Decimal("500.00")
_IN: Final = Decimal("20.00")
_OUT: Final = Decimal("7.50")


class _Stamp(TypedDict):
    event_id: UUID
    occurred_at: datetime
    version: int


async def write_log(store: PostgresEventStore, events: int, accounts: int) -> None:
    """Write events of so many accounts, evenly and all mixed up, into an empty store.

    Every account is opened, then has deposits and withdrawals in turn. The events carry what the
    command service notes about a command.
    """
    owners = [
        (slot_of(account_id), account_id) for account_id in (uuid4() for _ in range(accounts))
    ]
    heads = dict.fromkeys(range(SLOT_COUNT), 0)
    for first in range(0, events, _BATCH):
        stamp = batch_stamp()
        batch: list[NewEvent] = []
        for number in range(first, min(first + _BATCH, events)):
            slot, account_id = owners[number % accounts]
            event = movement(account_id, number // accounts + 1, *stamp())
            metadata = f'{{"command_id": "{uuid4()}", "actor": "passbook bench"}}'
            batch.append(new_event(slot, account_id, event, metadata))
        await store.append_batch({row.slot: heads[row.slot] for row in batch}, batch, [])
        for row in batch:
            heads[row.slot] += 1


def movement(account_id: UUID, version: int, event_id: UUID, now: datetime) -> AccountEvent:
    """Return the event of a version: opened first, then deposits and withdrawals in turn."""
    stamp: _Stamp = {"event_id": event_id, "occurred_at": now, "version": version}
    if version == 1:
        return AccountOpened(account_id, "Ada Lovelace", _OPENING, **stamp)
    if version % 2:
        return MoneyWithdrawn(account_id, _OUT, "coffee", **stamp)
    return MoneyDeposited(account_id, _IN, "salary", **stamp)
