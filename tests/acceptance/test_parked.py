"""Invariant 9 from the outside: an account is left out, everybody else flows, and it comes back while
two instances of the projector work under load.
"""

from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from passbook.cli.bench.workload import Expectation
from passbook.domain.commands import Command, DepositMoney, OpenAccount
from passbook.domain.slots import partition_of, slot_of
from passbook.messaging.commands import encode
from passbook.messaging.producer import Producer
from passbook.projection.parking import _MOST_PARKED
from tests.support.databases import Connect
from tests.support.program import Program
from tests.support.reckoning import reckon
from tests.support.until import until
from tests.support.world import BALANCES, SERVICES, World, at_least

pytestmark = pytest.mark.timeout(240)

ROUNDS = 2


async def send(world: World, expected: Expectation, *commands: Command) -> None:
    """Publish commands besides those of the load."""
    async with Producer(world.kafka, client_id="more") as producer:
        for command in commands:
            partition = partition_of(slot_of(command.account_id), world.topics.partitions)
            time = "2026-01-31T12:00:00Z"
            record = encode(command, command_id=uuid4(), source="/tests", time=time)
            await producer.publish(world.topics.commands, {partition: [record]})
            expected.take(command)


def program(world: World, folder: Path) -> Program:
    """Give the program to the owner of the read model."""
    return Program(
        {
            "PASSBOOK_EVENT_STORE_DSN": world.dsn("command-service"),
            "PASSBOOK_READ_MODEL_DSN": world.database.admin_dsn,
            "PASSBOOK_KAFKA_BOOTSTRAP": world.kafka,
            "PASSBOOK_TOPIC_PREFIX": world.topics.prefix,
            "PASSBOOK_TOPIC_PARTITIONS": str(world.topics.partitions),
            "PASSBOOK_DATA_DIR": str(folder / "none"),
        }
    )


async def is_at(owner: asyncpg.Connection, account: UUID, version: int) -> bool:
    """Tell whether the balance view shows a version of an account."""
    shown = await owner.fetchval(
        "SELECT version FROM balances.accounts WHERE account_id = $1", account
    )
    return bool(shown == version)


async def test_a_parked_account_is_taken_back_under_load_while_others_flow(
    world: World, connect: Connect, tmp_path: Path
) -> None:
    passbook, owner, account = program(world, tmp_path), await connect(), uuid4()

    async def parked() -> list[dict[str, Any]]:
        ended = await passbook("projection", "parked", "balance", "--json")
        found: list[dict[str, Any]] = ended.document
        return found

    async with world.load(per_second=200) as expected:
        await world.run(*SERVICES, BALANCES)
        await send(world, expected, OpenAccount(account, "Ada", Decimal(100)))
        for version in range(1, 2 * ROUNDS, 2):
            await until(partial(is_at, owner, account, version), 60)
            await owner.execute(
                "UPDATE balances.accounts SET version = 1000 WHERE account_id = $1", account
            )
            await send(world, expected, DepositMoney(account, Decimal(1), ""))
            await until(parked, 30)
            (one,) = await parked()
            assert (one["account_id"], one["slot"]) == (str(account), slot_of(account))
            assert one["events"] == 1
            assert one["reason"] == f"{account}: no row at version {version}"
            flowing = partial(world.applied, "balance")
            await until(at_least(flowing, await flowing() + 50), 30)

            await send(world, expected, DepositMoney(account, Decimal(1), ""))
            retry = await passbook("projection", "parked", "balance", "--retry", "--json")
            assert (retry.code, retry.document["still_parked"]) == (0, []), retry.stderr
            assert [healed["account_id"] for healed in retry.document["healed"]] == [str(account)]
            assert retry.document["healed"][0]["events"] in {version + 1, version + 2}
        await until(partial(is_at, owner, account, 2 * ROUNDS + 1), 30)
        assert await parked() == []
    await reckon(world, expected)


async def test_a_projector_that_would_park_too_many_stops_says_so_and_goes_on_when_they_are_back(
    world: World, connect: Connect, tmp_path: Path
) -> None:
    """As many as may be are parked, and one more does not fit; the other read model goes on."""
    passbook, owner = program(world, tmp_path), await connect()
    expected = Expectation()
    accounts = [uuid4() for _ in range(_MOST_PARKED + 1)]
    await world.run(*SERVICES)
    await send(world, expected, *(OpenAccount(one, "Ada", Decimal(100)) for one in accounts))
    await world.current(len(accounts))
    await owner.execute("UPDATE balances.accounts SET version = 1000")
    *many, last = [DepositMoney(account, Decimal(1), "") for account in accounts]
    await send(world, expected, *many)
    await world.current(expected.events)
    await send(world, expected, last)

    projector = world.running(BALANCES)
    await projector.ready(yes=False)
    said = projector.logged("service.unavailable")[-1]["error"]
    assert said.startswith(f"{_MOST_PARKED} accounts are parked already and {last.account_id}")
    await until(at_least(partial(world.applied, "audit"), expected.events), 30)
    assert await world.applied("balance") == expected.events - 1

    retry = ("projection", "parked", "balance", "--retry", "--json")
    healed = (await passbook(*retry)).document["healed"]
    assert {one["account_id"] for one in healed} == {str(one.account_id) for one in many}
    await projector.ready()
    await world.current(expected.events)
    assert len((await passbook(*retry)).document["healed"]) == 1
    await reckon(world, expected)
