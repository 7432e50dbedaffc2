"""deploy/runbooks/restore-postgresql.md, followed to the letter: a cold copy is put back that is
older than what Kafka has.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg
import pytest

from passbook.embedded.postgres import EmbeddedPostgres
from passbook.eventstore.postgres import PostgresEventStore
from passbook.messaging.topics import Topics
from tests.support.accounts import account_ids, busy, rows
from tests.support.outsider import command, error_code
from tests.support.own_servers import copied, files_of, own_postgres, world_on
from tests.support.reckoning import reckon
from tests.support.runbook import Page
from tests.support.servers import Servers
from tests.support.until import until
from tests.support.world import COMMAND_SERVICE, RELAY, SERVICES, World, at_least

pytestmark = pytest.mark.timeout(240)

PAGE: Final = Page("restore-postgresql")
_BEHIND: Final = "the event store is behind Kafka"


@pytest.fixture
async def postgres() -> AsyncIterator[EmbeddedPostgres]:
    """Give a PostgreSQL of the test's own."""
    async with own_postgres() as postgres:
        yield postgres


@pytest.fixture
async def world(
    postgres: EmbeddedPostgres, servers: Servers, topics: Topics, tmp_path: Path
) -> AsyncIterator[World]:
    """Give a ledger on it."""
    async with world_on(postgres, servers.kafka_bootstrap, topics, tmp_path) as world:
        yield world


async def test_what_was_published_after_the_backup_comes_back_and_nothing_is_decided_meanwhile(
    world: World, postgres: EmbeddedPostgres
) -> None:
    """Seen to fail: without the comparison at the start of the command service, which then accepts a
    command under a number that Kafka has given out.
    """
    expected = await world.backlog(300, 30)
    processes = await world.run(*SERVICES)
    await world.current(expected.events)
    await _backup(world, postgres)
    await asyncio.gather(*(process.ready() for process in processes))
    await world.backlog(200, 20, before=expected)
    await world.current(expected.events)
    before = await world.stored()

    await _restore(world, postgres)

    restored = await world.stored()
    assert restored < before
    decider, relay = world.running(COMMAND_SERVICE), world.running(RELAY)
    await decider.ready(yes=False)
    await until(lambda: relay.logged("relay.halted"), 30)

    async def counted() -> bool:
        return await relay.metric("passbook_relay_halted_slots") > 0

    await until(counted)
    told = await world.operator("doctor", "--json")
    assert told.code == 1
    (log,) = [one for one in told.document["checks"] if one["name"] == "log"]
    assert log["detail"].startswith(_BEHIND)
    await until(lambda: _says_behind(decider.logged("service.unavailable")), 30)
    decided = await world.decided()
    await world.backlog(40, 4, before=expected)
    assert await world.decided() == decided

    await decider.terminate()
    missing = await world.operator("log", "recover", "--check", "--json")
    assert missing.code == 1
    assert await world.stored() < before
    ended = await PAGE.follow(world.operator, "3. Bring back what Kafka has")
    assert ended[-1].document["events"] == missing.document["events"] == before - restored
    await world.run(COMMAND_SERVICE)
    await world.current(expected.events)
    await PAGE.follow(world.operator, "How to know that it is over")
    await reckon(world, expected)


async def test_what_was_answered_and_never_published_is_decided_again(
    world: World, postgres: EmbeddedPostgres
) -> None:
    expected = await world.backlog(200, 20)
    processes = await world.run(*SERVICES)
    await world.current(expected.events)
    await _backup(world, postgres)
    await asyncio.gather(*(process.ready() for process in processes))
    await world.running(RELAY).terminate()
    account = str(uuid4())
    opening = command("OpenAccount", account, owner_name="Alice", initial_deposit="500.00")
    await world.outsider.send(opening)
    await world.outsider.outcomes([opening.command_id])

    await _restore(world, postgres)
    await world.run(RELAY)

    # No event that Kafka has is missing, so only who reads the outcomes can see it.
    await world.running(COMMAND_SERVICE).terminate()
    ended = await PAGE.follow(world.operator, "3. Bring back what Kafka has")
    assert ended[-1].document["undecided"] == [opening.command_id]
    await world.run(COMMAND_SERVICE)
    answers = (await world.outsider.outcomes([opening.command_id], 2))[opening.command_id]
    assert {error_code(answer) for answer in answers} == {"accepted"}
    await world.current(expected.events + 1)
    expected.outcomes["accepted"] += 1
    assert await world.stored() == expected.events


async def test_a_store_that_went_on_after_the_restore_is_refused(
    world: World, postgres: EmbeddedPostgres
) -> None:
    """A direct writer gives numbers out again. The relay stays halted although the store has caught
    up number for number, and nothing is mixed.

    Seen to fail: without the comparison of ids in `slots_ahead`, the relay publishes number 5.
    """
    first, second, third = (next(account_ids(7)) for _ in range(3))
    async with asyncpg.create_pool(world.database.admin_dsn) as pool:
        await PostgresEventStore(pool).append_batch({7: 0}, rows(busy(first, 1)), [])
    await world.run(RELAY)
    async with world.outsider.watched("events") as published:
        await until(at_least(published, 2), 30)
        await _backup(world, postgres)
        async with asyncpg.create_pool(world.database.admin_dsn) as pool:
            await PostgresEventStore(pool).append_batch({7: 2}, rows(busy(second, 1)), [])
        await until(at_least(published, 4), 30)
        await _restore(world, postgres)
        async with asyncpg.create_pool(world.database.admin_dsn) as pool:
            await PostgresEventStore(pool).append_batch({7: 2}, rows(busy(third, 2)), [])
        (relay,) = [one for one in world.processes if one.name == RELAY]
        await relay.kill()
        (relay,) = await world.run(RELAY)
        await until(lambda: relay.logged("relay.halted"), 30)

        refused = await world.operator("log", "recover")

        assert refused.code == 1
        assert "it went on after it was restored" in refused.stderr
        assert await world.stored() == 5
        assert await published() == 4


def _says_behind(entries: list[dict[str, str]]) -> bool:
    return any(entry["error"].startswith(_BEHIND) for entry in entries)


async def _backup(world: World, postgres: EmbeddedPostgres) -> None:
    """As the page says: a cold copy."""
    await postgres.stop()
    await copied(files_of(postgres), files_of(postgres).with_name("backup"))
    await postgres.start()
    world.admin = await asyncpg.connect(postgres.admin_dsn)


async def _restore(world: World, postgres: EmbeddedPostgres) -> None:
    await postgres.stop()
    await copied(files_of(postgres).with_name("backup"), files_of(postgres))
    await postgres.start()
    world.admin = await asyncpg.connect(postgres.admin_dsn)
