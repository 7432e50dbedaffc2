"""deploy/runbooks/rolling-upgrade.md, followed to the letter under load, to code that writes events of a
version which the old one cannot read.
"""

from pathlib import Path
from typing import Final

import pytest

from tests.support.databases import Connect
from tests.support.newer import NEWER, upgraded
from tests.support.processes import ServiceProcess
from tests.support.program import Program
from tests.support.reckoning import evidence_holds, reckon
from tests.support.runbook import Page
from tests.support.until import until
from tests.support.world import AUDIT, BALANCES, COMMAND_SERVICE, RELAY, SERVICES, World

pytestmark = pytest.mark.timeout(240)

PAGE: Final = Page("rolling-upgrade")
_ROOT: Final = Path(__file__).parents[2]
_NEW: Final = "SELECT count(*) FROM eventstore.events WHERE schema_version > $1"


async def test_every_service_is_replaced_under_load_and_a_new_event_version_appears(
    world: World, connect: Connect
) -> None:
    """Nothing is lost, nothing refused that would not have been, and no read model stops."""
    passbook = Program(
        {
            **world.operator.settings,
            "PYTHONPATH": str(_ROOT),
            "UPGRADED": "passbook",
        },
        "tests.support.upgraded",
    )
    old = dict(zip(SERVICES, await world.run(*SERVICES), strict=True))
    async with world.load(60) as expected:
        await PAGE.follow(passbook, "2. Migrate")
        for name in _order():
            await _replaced(world, old[name])

        async def written() -> bool:
            return bool(await world.admin.fetchval(_NEW, NEWER))

        await until(written, 30)
        for process in old.values():
            assert not process.logged("service.refused")
            assert not process.logged("service.unavailable")
    with upgraded():
        await world.current(expected.events)
        await PAGE.follow(passbook, "How to know that it is over")
        await reckon(world, expected)
    await evidence_holds(connect, expected.events)


async def test_the_other_way_round_projectors_wait_in_front_of_the_new_events_and_go_on(
    world: World, connect: Connect
) -> None:
    """The command service first: the old projector stops, loses nothing, and its successor goes on;
    an old command service holds the partitions that it cannot decide, and refuses nobody.
    """
    old = dict(zip(SERVICES, await world.run(*SERVICES), strict=True))
    async with world.load(60) as expected:
        await _replaced(world, old[COMMAND_SERVICE])
        await old[BALANCES].ready(yes=False)
        (told, *_) = old[BALANCES].logged("service.unavailable")
        assert "upgrade this reader" in told["error"]
        back = world.start(COMMAND_SERVICE)  # rolled back, beside the new one
        await until(lambda: back.logged("partition.held"), 60)
        await back.terminate()
        await _replaced(world, old[BALANCES])
    with upgraded():
        await reckon(world, expected)
    await evidence_holds(connect, expected.events)


def _order() -> list[str]:
    """Return the services in the order in which the page replaces them."""
    (block,) = [one for one in PAGE.blocks("3. Replace, one by one") if "docker compose" in one]
    known = {AUDIT, BALANCES, RELAY, COMMAND_SERVICE}
    return list(dict.fromkeys(word for word in block.split() if word in known))


async def _replaced(world: World, process: ServiceProcess) -> None:
    module = f"services.{process.name.replace('-', '_')}"
    new = world.start(
        process.name,
        module="tests.support.upgraded",
        UPGRADED=module,
        PYTHONPATH=str(_ROOT),
    )
    await new.ready()
    code, seconds = await process.terminate()
    assert (process.name, code) == (process.name, 0)
    assert seconds < 10
