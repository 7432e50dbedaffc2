"""A server that is away, or does not take writes for now, is waited for: that is no refusal."""

from typing import Final
from urllib.parse import urlsplit, urlunsplit

import pytest

from passbook.cli.checks.finding import State
from passbook.embedded.ports import free_port
from tests.support.damage import AS_BEFORE, READ_ONLY, STANDBY
from tests.support.doctor import findings
from tests.support.until import until
from tests.support.world import BALANCES, COMMAND_SERVICE, RELAY, World, at_least

_CUT: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = $1
"""


@pytest.mark.parametrize("service", [COMMAND_SERVICE, BALANCES])
async def test_a_server_that_is_away_is_no_refusal(world: World, service: str) -> None:
    dsn = urlsplit(world.dsn(service))
    away = dsn._replace(netloc=f"{dsn.netloc.rpartition(':')[0]}:{free_port()}")
    process = world.start(service, dsn=urlunsplit(away))

    await until(lambda: len(process.logged("service.unavailable")) >= 2)

    assert process.exit_code is None
    assert process.logged("service.refused") == []


@pytest.mark.parametrize(
    ("service", "damage", "reason"),
    [
        (COMMAND_SERVICE, READ_ONLY, "default_transaction_read_only is on; turn it off"),
        (RELAY, READ_ONLY, "default_transaction_read_only is on; turn it off"),
        (BALANCES, READ_ONLY, "default_transaction_read_only is on; turn it off"),
        (RELAY, STANDBY, "it is a standby; promote it"),
    ],
)
async def test_a_server_that_takes_no_writes_is_waited_for(
    world: World, service: str, damage: str, reason: str
) -> None:
    """A failover that is under way looks like this.

    Seen to fail: without `check_writable` the command service and the relay are ready, and the
    doctor is content.
    """
    name = world.database.name
    await world.admin.execute(damage.format(database=name))
    process = world.start(service)
    found = await findings(world, world.dsn(service))
    await until(lambda: bool(process.logged("service.unavailable")))
    await world.admin.execute(AS_BEFORE.format(database=name))
    await process.ready()

    assert found["postgresql"].state is State.FAILED
    told = process.logged("service.unavailable")[0]["error"]
    assert f"PostgreSQL takes no writes: {reason}" in told


async def test_a_running_service_waits_for_a_server_that_takes_writes(world: World) -> None:
    """Seen to fail: with SQLSTATE 25006 as a broken invariant the service crashes."""
    (service,) = await world.run(COMMAND_SERVICE)
    name = world.database.name
    await world.admin.execute(READ_ONLY.format(database=name))
    await world.admin.execute(_CUT, COMMAND_SERVICE)
    await world.backlog(1, 1)
    await until(lambda: bool(service.logged("service.unavailable")))
    await world.admin.execute(AS_BEFORE.format(database=name))

    await until(at_least(world.decided, 1))
    assert service.exit_code is None
