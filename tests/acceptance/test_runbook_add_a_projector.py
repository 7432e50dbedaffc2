"""deploy/runbooks/add-a-projector.md, followed to the letter under load: a third projection is
installed, catches up, is verified, rebuilt, and taken away.
"""

import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.databases import Connect
from tests.support.processes import ServiceProcess
from tests.support.program import Program
from tests.support.reckoning import reckon
from tests.support.runbook import Page
from tests.support.until import until
from tests.support.world import SERVICES, SESSION_TIMEOUT_S, World

pytestmark = pytest.mark.timeout(240)

PAGE: Final = Page("add-a-projector")
_ROOT: Final = Path(__file__).parents[2]
_WRITER: Final = "passbook_totals_projector"
_SUM: Final = "SELECT sum(paid_in) - sum(paid_out) FROM totals.days"


@pytest.fixture
async def login(connect: Connect) -> AsyncIterator[str]:
    """Give a name for a login, whose password it is, too; it is dropped afterwards."""
    name = f"totals_{secrets.token_hex(8)}"
    yield name
    owner = await connect()
    await owner.execute(f"DROP ROLE IF EXISTS {name}")


async def test_a_third_projection_is_added_under_load_verified_rebuilt_and_taken_away(
    world: World, connect: Connect, login: str
) -> None:
    passbook = Program(
        {**world.operator.settings, "PYTHONPATH": str(_ROOT)}, "tests.support.totals.passbook"
    )
    owner = await connect()
    await world.run(*SERVICES)
    async with world.load(50) as expected:
        await PAGE.follow(passbook, "1. Install it")
        await owner.execute(f"CREATE ROLE {login} LOGIN PASSWORD '{login}' IN ROLE {_WRITER}")
        refused = _started(world, login)
        assert await refused.ended(30) == 78
        assert "eventstore" in str(refused.logged("service.refused"))
        grants, _ = _statements()
        await owner.execute(grants)
        projector = _started(world, login)
        await projector.ready()
        await until(lambda: world.applied("totals"), 30)
        await PAGE.follow(passbook, "How to know that it is over")

    async def is_current() -> bool:
        return await world.applied("totals") >= expected.events > 0

    await until(is_current, 60)
    assert await owner.fetchval(_SUM) == expected.moved
    await projector.terminate()
    _, removal = _statements()
    await owner.execute(removal)
    assert (await world.operator("doctor")).code == 0
    await reckon(world, expected)


def _started(world: World, login: str) -> ServiceProcess:
    dsn = re.sub(r"//[^@]*@", f"//{login}:{login}@", world.database.admin_dsn)
    environment = {
        "PASSBOOK_EVENT_STORE_DSN": dsn,
        "PASSBOOK_KAFKA_BOOTSTRAP": world.kafka,
        "PASSBOOK_TOPIC_PREFIX": world.topics.prefix,
        "PASSBOOK_TOPIC_PARTITIONS": str(world.topics.partitions),
        "PASSBOOK_KAFKA_SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S),
        "PYTHONPATH": str(_ROOT),
    }
    log = world.folder / f"totals-{len(world.processes)}.log"
    process = ServiceProcess("totals-projector", environment, log, "tests.support.totals")
    world.processes.append(process)
    return process


def _statements() -> list[str]:
    return re.findall(r"^```sql\n(.*?)^```$", PAGE.text, re.DOTALL | re.MULTILINE)
