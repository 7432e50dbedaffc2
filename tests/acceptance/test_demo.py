"""`passbook demo`, as a newcomer runs it."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from tests.support.installation import Installation, ended, installation

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def here() -> Iterator[Installation]:
    """Give an installation of one test's own."""
    with installation() as own:
        yield own


async def test_demo_holds_twice_on_the_same_data_and_leaves_nothing_running(
    here: Installation,
) -> None:
    first = await here.passbook("demo", "--json")
    left = here.processes()
    second = await here.passbook("demo")

    assert first.code == 0, first.stderr
    assert first.document["ok"] is True
    assert all(check["ok"] for check in first.document["checks"])
    assert second.code == 0, second.stdout + second.stderr
    assert f"All {len(first.document['checks'])} checks hold" in second.stdout
    assert left | here.processes() == {}


async def test_demo_uses_what_runs_and_leaves_it_running(here: Installation) -> None:
    async with here.up() as running:
        played = await here.passbook("demo", "--json")
        status = (await here.passbook("status", "--json")).document

        assert played.code == 0, played.stdout
        assert played.stderr == ""
        assert status["endpoints"] == running.document
        assert await running.end(signal.SIGTERM) == 0


async def test_an_interrupted_demo_leaves_nothing_running(here: Installation) -> None:
    process = await here.passbook.start("demo")
    assert process.stdout is not None
    async with asyncio.timeout(90):
        while "✓" not in (await process.stdout.readline()).decode():
            assert not process.stdout.at_eof()
    process.send_signal(signal.SIGINT)

    assert await ended(process) == 130
    assert here.processes() == {}
