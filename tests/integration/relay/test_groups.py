"""Several relays at once: they share the groups of slots out, and what one leaves others take over."""

import time
from collections import Counter
from contextlib import AsyncExitStack

import asyncpg
import pytest

from passbook.cli.checks import store as checks
from passbook.cli.checks.finding import State
from passbook.eventstore.postgres import PostgresEventStore
from services.outbox_relay.queries import Leaders, lock_of, relay_leaders
from tests.integration.relay.log import carries, everything_published, store_events, stored
from tests.support.databases import Connect, OpenPool
from tests.support.ledger import Ledger, Part, running
from tests.support.until import until

_HOLDERS = """
SELECT pid FROM pg_locks
 WHERE locktype = 'advisory' AND granted
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND classid::bigint = hashtext('passbook outbox relay')::bigint & 4294967295
"""
_LOCK = "SELECT pg_advisory_lock(hashtext('passbook outbox relay'), $1)"


@pytest.fixture
async def store(pools: OpenPool) -> PostgresEventStore:
    """Give the store to write events to."""
    return PostgresEventStore(await pools("passbook_command_service"))


async def _shared_out(owner: asyncpg.Connection, *shares: int) -> None:
    """Return when so many groups are held by so many relays."""

    async def so() -> bool:
        held = Counter(row["pid"] for row in await owner.fetch(_HOLDERS))
        return sorted(held.values()) == sorted(shares)

    await until(so)


async def test_relays_share_the_groups_out_evenly_and_take_over_what_a_dead_one_leaves(
    ledger: Ledger, store: PostgresEventStore, connect: Connect
) -> None:
    """The first one gives up what is for those who come; nothing is lost or out of order meanwhile.

    Seen to fail: with a relay that keeps what it has (the second one waits for ever), and with one
    that starts a group at the head of the store instead of the tail of the topic.
    """
    owner = await connect()
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running(ledger.relay(groups=4)))
        await _shared_out(owner, 4)
        await store_events(store, dict.fromkeys(range(64), 2))
        second = Part(ledger.relay(groups=4))
        await _shared_out(owner, 2, 2)
        await store_events(store, dict.fromkeys(range(64), 2))
        await stack.enter_async_context(running(ledger.relay(groups=4)))
        await _shared_out(owner, 1, 1, 2)
        await store_events(store, dict.fromkeys(range(64), 2))
        assert await relay_leaders(owner) == Leaders(relays=3, groups=4, missing=())
        await second.crash()
        died_at = time.monotonic()
        await store_events(store, dict.fromkeys(range(64), 2))
        records = await everything_published(ledger, 4 * 2 * 64)
        assert time.monotonic() - died_at < 2
        await _shared_out(owner, 2, 2)
        await first.stop()
        await _shared_out(owner, 4)
        await store_events(store, dict.fromkeys(range(64), 1))
        records = await everything_published(ledger, 9 * 64)
    assert carries(records, await stored(store))


async def test_the_number_of_groups_is_changed_while_relays_run(
    ledger: Ledger, store: PostgresEventStore, connect: Connect
) -> None:
    """Those with one number publish beside those with another: everything is there, some of it twice.

    Seen to fail: with locks of the same names for every number: a relay of four groups leaves out the
    one that a relay of one group holds, and nobody can tell which of them publishes what.
    """
    owner = await connect()
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(running(ledger.relay(groups=1)))
        await store_events(store, dict.fromkeys(range(64), 2))
        await stack.enter_async_context(running(ledger.relay(groups=4)))
        await _shared_out(owner, 1, 4)
        await store_events(store, dict.fromkeys(range(64), 2))
        assert (await relay_leaders(owner)).groups == 4
        await one.stop()
        await store_events(store, dict.fromkeys(range(64), 2))
        await stack.enter_async_context(running(ledger.relay(groups=2)))
        await _shared_out(owner, 2, 4)
        await store_events(store, dict.fromkeys(range(64), 2))
        log = await stored(store)

        async def complete() -> bool:
            records = await ledger.outsider.everything("events")
            return len(records) >= len(log) and carries(records, log)

        await until(complete, 20)


async def test_doctor_names_the_groups_that_nobody_publishes(connect: Connect) -> None:
    owner = await connect()
    assert (await checks.relay(owner)).state is State.WARNING
    assert await relay_leaders(owner) == Leaders(relays=0, groups=1, missing=(0,))
    for group in (0, 2):
        await owner.execute(_LOCK, lock_of(group, 4))
    verdict = await checks.relay(owner)
    assert verdict.state is State.FAILED
    assert "nobody publishes group 1, 3 of 4" in verdict.detail
    for group in (1, 3):
        await owner.execute(_LOCK, lock_of(group, 4))
    assert (await checks.relay(owner)).detail == "one relay leads, 0 events to publish"


def test_every_group_has_a_lock_of_its_own_whatever_their_number() -> None:
    counts = [1, 2, 4, 8, 16, 32, 64]
    locks = [lock_of(group, groups) for groups in counts for group in range(groups)]
    assert locks == list(range(127))
