"""Reads that must not be behind: woken by the projector, not by a poll."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from uuid import uuid4

import asyncpg
import pytest

from passbook.domain.account import BankAccount
from passbook.eventstore.doorbell import Doorbell, DoorbellListener
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.repository import AccountRepository
from passbook.projection.protocol import doorbell_channel
from passbook.projection.waiting import NotThatFar, at_version
from passbook.service import alongside
from services.balance_projector.projection import BalanceProjection
from services.balance_projector.queries import AccountRow, account_row
from tests.support.accounts import opened
from tests.support.databases import Database, OpenPool
from tests.support.projected import project
from tests.support.until import until

NEVER_S = 60.0


class View:
    """The balance view of one account: how often it was looked at, and one more version on request."""

    def __init__(self, pool: asyncpg.Pool, account: BankAccount, bell: Doorbell) -> None:
        self.looks = 0
        self.committed_at = 0.0
        self.account = account
        self._pool = pool
        self._bell = bell

    async def look(self) -> AccountRow | None:
        """Read the row."""
        self.looks += 1
        return await account_row(self._pool, self.account.id)

    async def until_looked(self) -> None:
        """Return after the next look."""
        looks = self.looks
        await until(lambda: self.looks > looks)

    async def move(self, *, ring: bool = True) -> None:
        """Deposit, project, and ring as a projector does."""
        self.account.deposit(Decimal("1.00"))
        await AccountRepository(PostgresEventStore(self._pool)).save(self.account)
        await project(self._pool, BalanceProjection())
        self.committed_at = time.monotonic()
        if ring:
            self._bell.ring()


@pytest.fixture
async def listener(database: Database) -> AsyncIterator[DoorbellListener]:
    """Give somebody who hears the balance projector, and has just begun to."""
    channel = doorbell_channel("balance")
    listener = DoorbellListener(database.dsn("passbook_reader"), channel)
    async with alongside(listener.run()):
        await listener.heard(0, 10)
        yield listener


@pytest.fixture
async def view(database: Database, pools: OpenPool) -> AsyncIterator[View]:
    """Give the view of an account that is at version 1."""
    pool = await pools()
    bell = Doorbell(database.dsn("passbook_balance_projector"), doorbell_channel("balance"))
    account = opened()
    await AccountRepository(PostgresEventStore(pool)).save(account)
    await project(pool, BalanceProjection())
    async with alongside(bell.run()):
        yield View(pool, account, bell)


async def test_reader_is_woken_within_milliseconds_of_the_commit(
    view: View, listener: DoorbellListener
) -> None:
    """Between two polls lies a minute, so whoever is back earlier was woken. Seen to fail (they
    come back when their time is over) when `move` does not ring.
    """
    delays = []
    for version in range(2, 12):
        waiting = asyncio.create_task(
            at_version(view.look, version, listener, timeout_s=5, look_again_s=NEVER_S)
        )
        await view.until_looked()
        await view.move()
        row = await waiting
        delays.append((time.monotonic() - view.committed_at) * 1000)
        assert row is not None
        assert row.version == version
    assert view.looks <= 3 * len(delays)
    assert statistics.median(delays) < 25, delays


async def test_lost_ring_costs_one_poll_interval(view: View, listener: DoorbellListener) -> None:
    waiting = asyncio.create_task(
        at_version(view.look, 2, listener, timeout_s=20, look_again_s=0.25)
    )
    await until(lambda: view.looks)
    await view.move(ring=False)
    assert await waiting
    assert time.monotonic() - view.committed_at < 2


async def test_wait_ends_with_its_time_and_says_where_the_view_is(
    view: View, listener: DoorbellListener
) -> None:
    began = time.monotonic()
    with pytest.raises(NotThatFar, match="at version 1, not yet at 2") as late:
        await at_version(view.look, 2, listener, timeout_s=0.2)
    assert 0.2 <= time.monotonic() - began < 2
    assert (late.value.version, late.value.min_version) == (1, 2)
    with pytest.raises(NotThatFar):
        await at_version(view.look, 2, listener, timeout_s=0)


async def test_nothing_is_waited_for_that_is_there_already(
    view: View, listener: DoorbellListener
) -> None:
    assert await at_version(view.look, 1, listener, timeout_s=0)
    assert await at_version(view.look, 0, listener, timeout_s=0)
    assert view.looks == 2
    view.account = opened(uuid4())
    assert await at_version(view.look, 0, listener, timeout_s=0) is None


async def test_many_wait_on_one_listener_and_none_is_forgotten(
    view: View, listener: DoorbellListener
) -> None:
    waiting = [
        asyncio.create_task(
            at_version(view.look, version, listener, timeout_s=20, look_again_s=NEVER_S)
        )
        for version in range(2, 7)
        for _ in range(20)
    ]
    await until(lambda: view.looks >= len(waiting))
    for _ in range(5):
        await view.move()
    rows = await asyncio.gather(*waiting)
    assert all(row is not None for row in rows)
    assert time.monotonic() - view.committed_at < 5


async def test_ring_in_the_middle_of_a_look_is_not_lost_to_another_who_waits() -> None:
    """Seen to fail (the second look comes when the time is over) when a ring is an `asyncio.Event` that
    whoever is woken clears.
    """
    listener = DoorbellListener("never connected")
    other = asyncio.create_task(listener.heard(0, 10))
    looks = 0

    async def look() -> AccountRow:
        nonlocal looks
        looks += 1
        if looks == 1:
            listener._heard()
            await other
        return AccountRow(uuid4(), "Ada", Decimal(0), "active", looks)

    began = time.monotonic()
    assert await at_version(look, 2, listener, timeout_s=3, look_again_s=NEVER_S)
    assert time.monotonic() - began < 2


async def test_looks_get_fewer_while_it_rings_all_the_time(
    view: View, listener: DoorbellListener
) -> None:
    """Rings every millisecond that mean other accounts: at most 50 looks a second. Seen to fail
    (hundreds) without the pause.
    """

    async def ring_on() -> None:
        while True:
            view._bell.ring()
            await asyncio.sleep(0.001)

    async with alongside(ring_on()):
        with pytest.raises(NotThatFar):
            await at_version(view.look, 2, listener, timeout_s=1)
    assert 5 <= view.looks <= 75
