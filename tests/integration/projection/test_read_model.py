"""Invariants 5 and 7: at every commit, the rows are the fold of the log up to the positions."""

from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from random import Random
from typing import Final

import asyncpg
import pytest

from passbook.eventstore.errors import StoreUnavailable
from passbook.eventstore.postgres import PostgresEventStore
from passbook.messaging.events import PublishedEvent
from services.balance_projector.projection import BalanceProjection
from tests.integration.projection.reading import (
    arrivals,
    balances,
    folded,
    positions,
    started,
    write_history,
)
from tests.support.databases import Connect

_RESET: Final = """
TRUNCATE balances.accounts;
UPDATE projections.positions SET slot_seq = 0 WHERE projection = 'balance';
"""


def _portions(
    arrived: dict[int, list[PublishedEvent]], seed: int
) -> list[dict[int, list[PublishedEvent]]]:
    """Cut what arrives into polls of random slots and lengths, with repetitions."""
    random = Random(seed)
    next_one = dict.fromkeys(arrived, 0)
    polls = []
    while any(next_one[slot] < len(events) for slot, events in arrived.items()):
        poll = {}
        for slot in random.sample(sorted(arrived), min(8, len(arrived))):
            start = max(0, next_one[slot] - random.randint(0, 2))
            end = min(len(arrived[slot]), next_one[slot] + random.randint(0, 5))
            poll[slot] = arrived[slot][start:end]
            next_one[slot] = end
        polls.append(poll)
    return polls


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_invariant_5_at_every_commit_the_balances_are_the_fold_of_the_log(
    store: PostgresEventStore,
    balance_pool: asyncpg.Pool,
    reader: asyncpg.Connection,
    connect: Connect,
    seed: int,
) -> None:
    """Random histories, polls of random slots and lengths, with repetitions; and once more from
    zero, in one poll.

    Seen to fail: with duplicates let through by `ProjectionRuntime._fresh`.
    """
    await write_history(store, seed, accounts=30, steps=300)
    arrived = await arrivals(store)
    live = await started(BalanceProjection(), balance_pool, store)
    for poll in _portions(arrived, seed):
        await live.apply(poll)
        reached = await positions(reader, "balance")
        assert await balances(reader) == await folded(store, reached)
    after_live = await balances(reader)
    assert await positions(reader, "balance") == {
        slot: head for slot, head in (await store.heads()).items() if head
    }

    await (await connect()).execute(_RESET)
    again = await started(BalanceProjection(), balance_pool, store)
    await again.apply(arrived)
    assert await balances(reader) == after_live


class _Interrupted(BalanceProjection):
    """Loses the line when its rows are written and nothing is committed."""

    async def apply(self, connection: asyncpg.Connection, events: Sequence[PublishedEvent]) -> None:
        await super().apply(connection, events)
        message = "the line broke"
        raise OSError(message)


async def test_invariant_5_an_interrupted_batch_leaves_rows_and_positions_together(
    store: PostgresEventStore, balance_pool: asyncpg.Pool, reader: asyncpg.Connection
) -> None:
    """Seen to fail: with positions that are moved in a transaction of their own."""
    await write_history(store, 4, accounts=10, steps=100)
    arrived = await arrivals(store)
    for projection in (_Interrupted(), BalanceProjection(), _Interrupted()):
        live = await started(projection, balance_pool, store)
        with suppress(StoreUnavailable):
            await live.apply({slot: events[:3] for slot, events in arrived.items()})
            await live.apply(arrived)
        reached = await positions(reader, "balance")
        assert await balances(reader) == await folded(store, reached)
    assert reached == {slot: head for slot, head in (await store.heads()).items() if head}


async def test_invariant_7_the_sum_of_balances_is_deposits_minus_withdrawals(
    store: PostgresEventStore, balance_pool: asyncpg.Pool, reader: asyncpg.Connection
) -> None:
    """To the cent, over all accounts, closed ones included.

    Seen to fail: with withdrawals of a batch added instead of subtracted.
    """
    await write_history(store, 7, accounts=40, steps=600)
    arrived = await arrivals(store)
    await (await started(BalanceProjection(), balance_pool, store)).apply(arrived)

    cents = 0
    for events in arrived.values():
        for event in events:
            data = event.decode().data
            amount = data.get("initial_deposit") or data.get("amount") or "0"
            sign = -1 if event.event_type == "MoneyWithdrawn" else 1
            cents += sign * int(Decimal(amount) * 100)
    total: Decimal = await reader.fetchval("SELECT sum(balance) FROM balances.accounts")
    assert int(total * 100) == cents


def test_portions_cover_everything_in_order() -> None:
    numbers: Sequence[object] = list(range(20))
    arrived = {1: list(numbers), 2: list(numbers)}
    met: dict[int, list[object]] = {1: [], 2: []}
    for poll in _portions(arrived, 5):  # type: ignore[arg-type]
        for slot, events in poll.items():
            met[slot] += [event for event in events if event not in met[slot]]
    assert met == arrived
