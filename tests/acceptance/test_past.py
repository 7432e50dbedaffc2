"""Reading while everything runs: the past stays what it was, and who asks for a version gets it."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import Database
from tests.support.program import Program
from tests.support.reckoning import reckon
from tests.support.servers import Servers
from tests.support.until import until
from tests.support.world import SERVICES, World, at_least

ROUNDS = 2


@pytest.fixture
def program(database: Database, servers: Servers, tmp_path: Path) -> Program:
    """Give the program as somebody has it who only reads."""
    return Program(
        {
            "PASSBOOK_EVENT_STORE_DSN": database.dsn("passbook_reader"),
            "PASSBOOK_READ_MODEL_DSN": database.dsn("passbook_reader"),
            "PASSBOOK_KAFKA_BOOTSTRAP": servers.kafka_bootstrap,
            "PASSBOOK_DATA_DIR": str(tmp_path / "none"),
        }
    )


async def test_answers_under_load_are_given_again_and_no_read_is_behind(
    world: World, program: Program
) -> None:
    """One account, and a page of all, as of this very moment, while 200 commands a second are
    decided; and the balance view at the version that the events have just told.
    """
    told: list[tuple[tuple[object, ...], Any]] = []

    async def ask(*arguments: object) -> Any:
        asked = ("account", *arguments, "--json")
        document = (await program(*asked)).document
        if "--at" in arguments:
            told.append((asked, document))
        return document

    async with world.load(per_second=200) as expected:
        await world.run(*SERVICES)
        await until(at_least(world.stored, 300), 30)
        busy = list(expected.accounts)[: ROUNDS * 2]
        for one, other in zip(busy[::2], busy[1::2], strict=True):
            now = datetime.now(UTC).isoformat()
            _, page, strong = await asyncio.gather(
                ask("show", one, "--at", now),
                ask("list", "--at", now, "--limit", 200),
                ask("show", other, "--strong"),
            )
            assert page["accounts"]
            shown = await ask("show", other, "--min-version", strong["version"], "--timeout", 20)
            assert shown["version"] >= strong["version"]
    await reckon(world, expected)
    for asked, document in told:
        assert (await program(*asked)).document == document
