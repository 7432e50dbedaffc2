"""Read models and what they should be: the fold of the log up to their positions."""

from collections.abc import Iterable
from decimal import Decimal
from random import Random
from typing import Any, cast
from uuid import UUID

import asyncpg

from passbook.domain.account import BankAccount
from passbook.domain.errors import AccountError
from passbook.eventstore.store import EventStore
from passbook.messaging.events import PublishedEvent
from passbook.projection.protocol import Projection
from passbook.projection.recorded import from_recorded
from passbook.projection.runtime import ProjectionRuntime
from tests.support.accounts import rows

Row = tuple[str, Decimal, str, int]


def runtime(projection: Projection, pool: asyncpg.Pool, store: EventStore) -> ProjectionRuntime:
    """Return a runtime without Kafka: the test says what arrives."""
    nobody = cast("Any", None)
    return ProjectionRuntime(projection, pool, store, nobody, nobody, 16)


async def started(
    projection: Projection, pool: asyncpg.Pool, store: EventStore
) -> ProjectionRuntime:
    """Return a runtime that has read where it stands."""
    ready = runtime(projection, pool, store)
    await ready._reload()
    return ready


async def arrivals(
    store: EventStore, slots: Iterable[int] | None = None
) -> dict[int, list[PublishedEvent]]:
    """Return slot → everything that the store has, as it comes from Kafka."""
    heads = await store.heads()
    wanted = [slot for slot in (heads if slots is None else slots) if heads[slot]]
    return {
        slot: [from_recorded(event) for event in await store.read_slot(slot, 0, 100_000)]
        for slot in wanted
    }


async def positions(connection: asyncpg.Connection, projection: str) -> dict[int, int]:
    """Return slot → position, of the slots that have one above 0."""
    found = await connection.fetch(
        "SELECT slot, slot_seq FROM projections.positions WHERE projection = $1 AND slot_seq > 0",
        projection,
    )
    return dict(found)


async def balances(connection: asyncpg.Connection) -> dict[UUID, Row]:
    """Return account → (owner, balance, status, version), as the read model says."""
    found = await connection.fetch(
        "SELECT account_id, owner_name, balance, status, version FROM balances.accounts"
    )
    return {row[0]: tuple(row)[1:] for row in found}


async def folded(store: EventStore, up_to: dict[int, int]) -> dict[UUID, Row]:
    """Return account → (owner, balance, status, version), as the log up to `up_to` says."""
    accounts: dict[UUID, BankAccount] = {}
    for slot, slot_seq in up_to.items():
        for event in await store.read_slot(slot, 0, slot_seq):
            account = accounts.setdefault(event.stream_id, BankAccount(event.stream_id))
            account.apply(event.decode())
    return {
        account_id: (account.owner_name, account.balance, str(account.status), account.version)
        for account_id, account in accounts.items()
    }


async def write_history(store: EventStore, seed: int, accounts: int, steps: int) -> None:
    """Let random things happen to random accounts, in batches over many slots."""
    random = Random(seed)
    heads = await store.heads()
    known = [BankAccount.open(_id(random), "Ada", Decimal(100)) for _ in range(accounts)]
    for _ in range(steps):
        account = random.choice(known)
        try:
            _something(account, random)
        except AccountError:
            continue
    events = rows(*known)
    random.shuffle(events)
    events.sort(key=lambda event: event.version)  # each account's own order, all mixed up
    touched = {event.slot: heads[event.slot] for event in events}
    await store.append_batch(touched, events, [])


def _id(random: Random) -> UUID:
    return UUID(int=random.getrandbits(128), version=4)


def _something(account: BankAccount, random: Random) -> None:
    amount = Decimal(random.randint(1, 5000)).scaleb(-2)
    match random.randint(0, 20):
        case 0:
            account.freeze("x")
        case 1:
            account.close()
        case number if number % 2:
            account.deposit(amount, "in")
        case _:
            account.withdraw(amount, "out")
