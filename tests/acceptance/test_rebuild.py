"""Rebuilding the balance view while everything runs: nobody notices, and nothing can be lost by it."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from passbook.cli.bench.log import write_log
from passbook.eventstore.postgres import PostgresEventStore
from tests.support.databases import Connect, OpenPool
from tests.support.program import Program
from tests.support.reckoning import evidence_holds, reckon
from tests.support.until import until
from tests.support.world import AUDIT, BALANCES, COMMAND_SERVICE, RELAY, World

_COUNT: Final = "SELECT count(*), coalesce(sum(version), 0) FROM balances.accounts"
_ONE: Final = "SELECT version FROM balances.accounts WHERE account_id = $1"
_ANY: Final = "SELECT account_id FROM balances.accounts LIMIT 1"
_GENERATION: Final = """
SELECT min(generation) FROM projections.positions WHERE projection = 'balance'
"""


@pytest.fixture
def passbook(world: World, tmp_path: Path) -> Program:
    """Give the program, with the login that owns this ledger's schemas."""
    return Program(
        {
            "PASSBOOK_EVENT_STORE_DSN": world.database.admin_dsn,
            "PASSBOOK_KAFKA_BOOTSTRAP": world.kafka,
            "PASSBOOK_TOPIC_PREFIX": world.topics.prefix,
            "PASSBOOK_TOPIC_PARTITIONS": str(world.topics.partitions),
            "PASSBOOK_DATA_DIR": str(tmp_path / "data"),
        }
    )


async def test_readers_and_projectors_go_on_while_the_view_is_rebuilt(
    world: World, passbook: Program, connect: Connect
) -> None:
    """With one instance of the projector, and with two. What a reader sees never goes back: a
    missing table is an error for it, a half-built one has fewer accounts or older versions.

    Seen to fail: with the schemas renamed one after the other, not in one transaction (the table
    does not exist), and with the copy put in place as it is, without `reach` and the check of
    `projections.swap` (fewer accounts, older versions).
    """
    async with world.load(per_second=300) as expected:
        await world.run(COMMAND_SERVICE, RELAY, AUDIT, BALANCES)
        await until(lambda: _has_rows(world), 30)
        async with _readers(connect, 3) as reads:
            for arguments in ((), ("--rollback",), ("--fresh",)):
                before = await world.applied("balance")
                ended = await passbook("projection", "rebuild", "balance", "--json", *arguments)
                assert ended.code == 0, ended.stderr
                assert ended.document["ok"], ended.document
                await until(partial(_goes_on, world, before))
                if "--rollback" in arguments:
                    await world.run(BALANCES)
            verified = await passbook("projection", "verify", "balance", "--json")
            assert (verified.code, verified.document["ok"]) == (0, True), verified
    assert min(reads) > 100
    assert await world.admin.fetchval(_GENERATION) == 4
    await reckon(world, expected)
    await evidence_holds(connect, expected.events)


async def _has_rows(world: World) -> bool:
    return await world.applied("balance") > 500


async def _goes_on(world: World, before: int) -> bool:
    return await world.applied("balance") > before


@asynccontextmanager
async def _readers(connect: Connect, number: int) -> AsyncIterator[list[int]]:
    """Read all the time, with prepared statements; give how often each reader has."""
    enough = asyncio.Event()
    reads = [0] * number

    async def read(own: int, connection: asyncpg.Connection) -> None:
        all_of_it = await connection.prepare(_COUNT)
        one = await connection.prepare(_ONE)
        account_id = await connection.fetchval(_ANY)
        last, version = (0, 0), 0
        while not enough.is_set():
            seen = tuple(await all_of_it.fetchrow())
            assert seen[0] >= last[0], f"{seen} after {last}"
            assert seen[1] >= last[1], f"{seen} after {last}"
            now = await one.fetchval(account_id)
            assert now >= version, f"version {now} after {version}"
            last, version = seen, now
            reads[own] += 1

    async with asyncio.TaskGroup() as group:
        for own in range(number):
            group.create_task(read(own, await connect("passbook_reader")))
        try:
            yield reads
        finally:
            enough.set()


async def test_killed_in_the_middle_it_is_run_again_and_nothing_is_lost(
    world: World, passbook: Program, pools: OpenPool
) -> None:
    """`kill -9` at the first batch, somewhere in the middle, and again; then Ctrl-C."""
    await write_log(PostgresEventStore(await pools("passbook_command_service")), 60_000, 5_000)
    await world.run(RELAY, BALANCES)
    await until(lambda: _has_all(world), 60)

    reached = 0
    for threshold, number, code in (
        (1, signal.SIGKILL, -signal.SIGKILL),
        (15_000, signal.SIGKILL, -signal.SIGKILL),
        (30_000, signal.SIGINT, 130),
    ):
        async with passbook.running("projection", "rebuild", "balance", "--json") as process:

            async def far_enough(this_far: int = threshold) -> bool:
                return await world.applied("balance_next") >= this_far

            await until(far_enough, 20)
            process.send_signal(number)
            await process.communicate()
            assert process.returncode == code
        assert reached <= await world.applied("balance_next") < 60_000
        reached = await world.applied("balance_next")
        assert await world.admin.fetchval(_GENERATION) == 1

    ended = await passbook("projection", "rebuild", "balance", "--json")
    assert ended.code == 0, ended.stderr
    found = ended.document
    assert (found["ok"], found["accounts"], found["differences"]) == (True, 5_000, [])
    assert (found["already"], found["events"]) == (reached, 60_000 - reached)
    verified = await passbook("projection", "verify", "balance", "--json")
    assert verified.code == 0
    assert verified.document["held"] == verified.document["paid_in"]
    assert verified.document["events"] == 60_000


async def _has_all(world: World) -> bool:
    return await world.applied("balance") == 60_000


async def test_what_differs_is_told_by_account_and_in_sum(
    world: World, passbook: Program, pools: OpenPool
) -> None:
    await write_log(PostgresEventStore(await pools("passbook_command_service")), 300, 100)
    await world.run(RELAY, BALANCES)
    await until(lambda: _applied(world, 300), 30)
    account_id = await world.admin.fetchval(_ANY)
    await world.admin.execute(
        "UPDATE balances.accounts SET balance = 0 WHERE account_id = $1", account_id
    )

    verified = await passbook("projection", "verify", "balance", "--json")
    assert verified.code == 1
    found = verified.document
    assert [one["account_id"] for one in found["differences"]] == [str(account_id)]
    assert (found["ok"], found["held"] != found["paid_in"]) == (False, True)
    told = await passbook("projection", "verify", "balance")
    assert "NOT OK" in told.stdout
    assert f"{account_id}: balance 0.00 → 512.50" in told.stdout

    rebuilt = await passbook("projection", "rebuild", "balance", "--json")
    assert (rebuilt.code, rebuilt.document["ok"]) == (0, False)
    assert (await passbook("projection", "verify", "balance")).code == 0
    (balance,) = [
        one
        for one in (await passbook("projection", "list", "--json")).document
        if one["name"] == "balance"
    ]
    assert balance["copies"] == ["balance_old"]
    service = Program(
        {**passbook.settings, "PASSBOOK_READ_MODEL_DSN": world.dsn(BALANCES)},
    )
    refused = await service("projection", "rebuild", "balance")
    assert (refused.code, "the login that owns the read models" in refused.stderr) == (1, True)
    assert (await passbook("projection", "rebuild", "nothing")).code == 4
    assert (await passbook("projection", "rebuild", "audit", "--rollback")).code == 4
    assert (await passbook("projection", "rebuild", "audit", "--rollback", "--fresh")).code == 2


async def _applied(world: World, events: int) -> bool:
    return await world.applied("balance") == events


async def test_the_figures_of_a_rebuild_can_be_measured(passbook: Program) -> None:
    """On a server that is configured, in a database of its own; here only that it works."""
    ended = await passbook("bench", "rebuild", "--events", 3000, "--accounts", 200, "--json")
    assert ended.code == 0, ended.stderr
    found = ended.document
    assert (found["ok"], found["events"], found["accounts"]) == (True, 3000, 200)
    assert found["events_per_s"] > 0
    assert found["held_ms"] > 0
