"""A read model is compared with the fold of the log, which changes neither."""

import asyncio

import asyncpg
import pytest

from passbook.eventstore.postgres import PostgresEventStore
from passbook.projection import copying
from services.balance_projector.money import Money
from services.balance_projector.projection import BalanceProjection
from tests.integration.projection.conftest import MakeRebuilding
from tests.integration.projection.reading import (
    write_history,
)
from tests.support.accounts import account_ids, busy, rows
from tests.support.projected import project

_LIES = "UPDATE balances.accounts SET balance = balance + 1 WHERE account_id = $1"
_INSTALLED = "SELECT projection FROM projections.installed ORDER BY projection"
_SCHEMAS = """
SELECT nspname FROM pg_namespace WHERE nspname LIKE 'balances%' ORDER BY nspname
"""


async def test_verifying_finds_what_differs_and_leaves_nothing_behind(
    store: PostgresEventStore, owner: asyncpg.Pool, rebuilding: MakeRebuilding
) -> None:
    one = next(account_ids(5))
    await store.append_batch({5: 0}, rows(busy(one, 2)), [])
    await project(owner, BalanceProjection())
    for lie, paid_in, held in (
        (None, "102.00", "102.00"),
        (_LIES, "102.00", "103.00"),
    ):
        if lie:
            await owner.execute(lie, one)
        money = Money()
        found = await rebuilding(BalanceProjection()).verify(money.count, money.look)
        assert found.ok == money.ok == (lie is None)
        assert (str(money.paid_in), str(money.held)) == (paid_in, held)
        assert (found.events, found.held_s, found.comparison.accounts) == (3, None, 1)
        assert [row[0] for row in await owner.fetch(_INSTALLED)] == ["audit", "balance"]
        assert [row[0] for row in await owner.fetch(_SCHEMAS)] == ["balances"]


async def test_verifying_compares_with_a_projection_that_goes_on(
    store: PostgresEventStore,
    owner: asyncpg.Pool,
    rebuilding: MakeRebuilding,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Events are applied between the fold and the comparison, and while it goes on.

    Seen to fail: with positions and rows read in two transactions.
    """
    monkeypatch.setattr(copying, "BATCH", 50)
    await write_history(store, 1, accounts=20, steps=200)
    await project(owner, BalanceProjection())
    enough = asyncio.Event()

    async def go_on() -> None:
        for seed in range(2, 100):
            if enough.is_set():
                return
            await write_history(store, seed, accounts=10, steps=30)
            await project(owner, BalanceProjection())

    async with asyncio.TaskGroup() as group:
        group.create_task(go_on())
        for _ in range(5):
            money = Money()
            found = await rebuilding(BalanceProjection()).verify(money.count, money.look)
            assert (found.ok, money.ok) == (True, True), found.comparison.differences
        enough.set()
