"""A rebuild on the side: the whole log is folded again and compared with the live balances."""

import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final
from uuid import UUID

import asyncpg

from passbook.domain.account import BankAccount
from passbook.domain.events import AccountOpened, MoneyDeposited, MoneyWithdrawn
from passbook.domain.money import ZERO
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.store import RecordedEvent

_PER_SLOT: Final = 200

_POSITIONS: Final = """
SELECT slot, slot_seq FROM projections.positions WHERE projection = 'balance' AND slot_seq > 0
"""
_PARKED: Final = "SELECT account_id FROM projections.parked WHERE projection = 'balance'"
_BALANCES: Final = "SELECT account_id, owner_name, balance, status, version FROM balances.accounts"


@dataclass(slots=True)
class Rebuild:
    """What came out. `differences` are accounts whose live row is not the fold of their events;
    `paid_in` is deposits minus withdrawals over all events, `held` the sum of the live balances.
    Parked accounts are left out of everything.
    """

    accounts: int = 0
    events: int = 0
    seconds: float = 0.0
    paid_in: Decimal = ZERO
    held: Decimal = ZERO
    differences: list[UUID] = field(default_factory=list)


async def rebuild(rows: asyncpg.Connection, store: PostgresEventStore) -> Rebuild:
    """Fold the log up to the position of the balance view, and compare with its rows.

    The view may go on meanwhile: positions and rows are those of one moment.
    """
    began = time.perf_counter()
    async with rows.transaction(isolation="repeatable_read", readonly=True):
        positions: dict[int, int] = dict(await rows.fetch(_POSITIONS))
        parked = {row[0] for row in await rows.fetch(_PARKED)}
        balances = await rows.fetch(_BALANCES)
    live = {row[0]: tuple(row[1:]) for row in balances if row[0] not in parked}
    result = Rebuild()
    folded = await _fold(store, positions, parked, result)
    result.accounts = len(folded)
    result.held = sum((row[1] for row in live.values()), ZERO)
    result.differences = [
        account_id
        for account_id in folded.keys() | live.keys()
        if folded.get(account_id) != live.get(account_id)
    ]
    result.seconds = time.perf_counter() - began
    return result


async def _fold(
    store: PostgresEventStore, positions: dict[int, int], parked: set[UUID], result: Rebuild
) -> dict[UUID, tuple[str, Decimal, str, int]]:
    accounts: dict[UUID, BankAccount] = {}
    reached = dict.fromkeys(positions, 0)
    while reached:
        for event in await store.read_log(reached, _PER_SLOT):
            if event.slot_seq <= positions[event.slot]:
                reached[event.slot] = event.slot_seq
                result.events += 1
                if event.stream_id not in parked:
                    _apply(accounts, event, result)
        reached = {slot: seq for slot, seq in reached.items() if seq < positions[slot]}
    return {
        account_id: (account.owner_name, account.balance, str(account.status), account.version)
        for account_id, account in accounts.items()
    }


def _apply(accounts: dict[UUID, BankAccount], recorded: RecordedEvent, result: Rebuild) -> None:
    account = accounts.get(recorded.stream_id)
    if account is None:
        account = accounts[recorded.stream_id] = BankAccount(recorded.stream_id)
    event = recorded.decode()
    account.apply(event)
    match event:
        case AccountOpened():
            result.paid_in += event.initial_deposit
        case MoneyDeposited():
            result.paid_in += event.amount
        case MoneyWithdrawn():
            result.paid_in -= event.amount
