"""One relay leads, the next one stands by and takes over."""

import asyncio
import time

import asyncpg
import pytest
from structlog.testing import capture_logs

from passbook.eventstore.errors import StoreUnavailable
from passbook.eventstore.postgres import PostgresEventStore
from tests.integration.relay.log import everything_published, published, store_events
from tests.support.databases import Connect, OpenPool
from tests.support.ledger import Ledger, Part, running
from tests.support.until import until


@pytest.fixture
async def store(pools: OpenPool) -> PostgresEventStore:
    """Give the store to write events to."""
    return PostgresEventStore(await pools("passbook_command_service"))


async def _leaders(owner: asyncpg.Connection) -> list[int]:
    """Return the database sessions that hold the relay's lock."""
    found = await owner.fetch(
        "SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE locktype = 'advisory' AND granted AND datname = current_database()"
        " AND classid::bigint = hashtext('passbook outbox relay')::bigint & 4294967295"
    )
    return [row["pid"] for row in found]


async def test_the_second_relay_takes_over_within_two_seconds(
    ledger: Ledger, store: PostgresEventStore, connect: Connect
) -> None:
    owner = await connect()
    first = Part(ledger.relay())
    await until(lambda: _leaders(owner))
    with capture_logs() as logs:
        async with running(ledger.relay()):
            await store_events(store, {5: 3, 9: 1})
            await everything_published(ledger, 4)
            await until(lambda: {"event": "relay.standby", "log_level": "info"} in logs)
            await first.crash()
            died_at = time.monotonic()
            await store_events(store, {5: 1})
            records = await everything_published(ledger, 5)
            assert time.monotonic() - died_at < 2
    assert published(records) == {5: [1, 2, 3, 4], 9: [1]}


async def test_a_leader_whose_session_is_cut_stops_and_says_so(
    ledger: Ledger, connect: Connect
) -> None:
    owner = await connect()
    leader = Part(ledger.relay())
    await until(lambda: _leaders(owner))
    for pid in await _leaders(owner):
        await owner.execute("SELECT pg_terminate_backend($1)", pid)
    failure = await leader.failure()
    assert isinstance(failure, StoreUnavailable)
    assert "the relay's session is lost" in str(failure)


async def test_a_relay_that_stands_by_ends_when_it_is_told_to(
    ledger: Ledger, connect: Connect
) -> None:
    owner = await connect()
    async with running(ledger.relay()):
        await until(lambda: _leaders(owner))
        waiting = Part(ledger.relay())
        await waiting.ready()
        async with asyncio.timeout(5):
            await waiting.stop()
    await until(lambda: _nobody(owner))


async def _nobody(owner: asyncpg.Connection) -> bool:
    return not await _leaders(owner)
