"""Archiving while everything runs, and killed on the way: nothing is lost, and nobody notices."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest

from tests.support.databases import Connect
from tests.support.program import Program
from tests.support.reckoning import evidence_holds, reckon
from tests.support.until import until
from tests.support.world import SERVICES, World

pytestmark = pytest.mark.timeout(240)

_NOW: Final = "SELECT clock_timestamp()"
_HEADS: Final = "SELECT slot, head FROM eventstore.slots"
_REACHED: Final = """
SELECT slot, min(seq) FROM (
    SELECT slot, published_seq AS seq FROM eventstore.relay_positions
     UNION ALL SELECT slot, slot_seq FROM projections.positions) p
 GROUP BY slot
"""
_COUNT: Final = "SELECT count(*) FROM eventstore.events"
_LONGEST: Final = """
SELECT stream_id FROM eventstore.archived_streams ORDER BY version DESC LIMIT 1
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


async def test_archiving_under_load_killed_and_run_again(
    world: World, passbook: Program, connect: Connect, tmp_path: Path
) -> None:
    """Four services take commands all the time; the run is killed (SIGKILL) in the middle of its
    files, at its manifest, and where it is about to remove rows, and then run again.

    Seen to fail: with `ReadThrough.log` returning what the table has (`projection verify`).
    """
    async with world.load(per_second=300) as expected:
        for name in SERVICES:
            world.start(name, PASSBOOK_ARCHIVE_DIR=str(tmp_path / "data" / "archive"))
        for process in world.processes:
            await process.ready()
        await until(lambda: _has_some(world), 30)
        before = await _covered_moment(world)
        for line in ("-02.parquet is verified", "manifest 1 is written", "verified snapshot"):
            async with _killed_at(passbook, line, "archive", "run", "--before", before):
                pass
            looked = await passbook("archive", "verify", "--json")
            assert (looked.code, looked.document["ok"]) == (0, True), looked
        ran = await passbook("archive", "run", "--before", before, "--json")
        assert (ran.code, ran.document["ok"]) == (0, True), ran.stderr
        again = await passbook("archive", "run", "--closed", "--json")
        assert again.code in {0, 1}, again.stderr  # 1: the newest closing is not applied yet
        applied = await world.applied("balance")
        await until(lambda: _has_applied(world, applied + 300), 30)
    assert min([process.exit_code is None for process in world.processes])
    await until(lambda: _has_decided(world, expected.outcomes.total()), 60)
    await world.current(expected.events)

    assert await world.admin.fetchval(_COUNT) < expected.events
    for verb in (("archive", "verify"), ("audit", "verify"), ("projection", "verify", "balance")):
        ended = await passbook(*verb, "--json")
        assert (ended.code, ended.document["ok"]) == (0, True), ended
    assert ended.document["events"] == expected.events
    rebuilt = await passbook("projection", "rebuild", "balance", "--json")
    assert (rebuilt.code, rebuilt.document["differences"]) == (0, []), rebuilt
    account_id = await world.admin.fetchval(_LONGEST)
    history = await passbook("account", "history", account_id, "--json")
    shown = await passbook("account", "show", account_id, "--strong", "--json")
    assert [one["version"] for one in history.document] == list(
        range(1, shown.document["version"] + 1)
    )

    restored = await passbook("archive", "restore", "--json")
    assert restored.code == 0, restored.stderr
    assert await world.admin.fetchval(_COUNT) == expected.events
    await reckon(world, expected)
    await evidence_holds(connect, expected.events)


@asynccontextmanager
async def _killed_at(passbook: Program, line: str, *arguments: str) -> AsyncIterator[None]:
    """Run a verb and kill it when it says this on stderr."""
    async with passbook.running(*arguments) as process:
        assert process.stderr is not None
        said = b""
        async with asyncio.timeout(60):
            while line.encode() not in said:
                said = await process.stderr.readline()
                assert said, "it ended before it said so"
        process.kill()
        assert await process.wait() == -9
        yield


async def _covered_moment(world: World) -> str:
    """Return a time up to which relay and read models have had everything."""
    moment: datetime = await world.admin.fetchval(_NOW)
    heads = dict(await world.admin.fetch(_HEADS))

    async def covered() -> bool:
        reached = dict(await world.admin.fetch(_REACHED))
        return all(reached.get(slot, 0) >= head for slot, head in heads.items())

    await until(covered, 30)
    return moment.isoformat()


async def _has_some(world: World) -> bool:
    return await world.applied("balance") > 1500


async def _has_applied(world: World, events: int) -> bool:
    return await world.applied("balance") >= events


async def _has_decided(world: World, commands: int) -> bool:
    return await world.decided() >= commands


async def test_the_verbs_on_a_running_installation(running_passbook: Program) -> None:
    passbook = running_passbook
    opened = await passbook("account", "open", "--owner", "Ada", "--deposit", "500.00", "--json")
    account_id = opened.document["account_id"]
    await passbook("account", "deposit", account_id, "20.00", "--json")
    closing = await passbook("account", "close", account_id, "--json")
    assert closing.code == 0, closing.stderr
    history = (await passbook("account", "history", account_id, "--json")).document
    data_dir = Path(passbook.settings["PASSBOOK_DATA_DIR"])

    async def run() -> bool:
        ended = await passbook("archive", "run", "--closed", "--json")
        # The relay writes down once a second how far it is.
        assert ended.code in {0, 1}, ended.stderr
        return ended.code == 0 and ended.document["events"] > 0

    await until(run, 30)

    listed = (await passbook("archive", "list", "--json")).document
    directory = data_dir / "archive"
    assert [one["manifest"] for one in listed] == list(range(1, len(listed) + 1))
    for one in listed:
        assert json.loads((directory / one["file"]).read_text())["segments"] == one["segments"]
    for verb in ("archive", "audit"):
        ended = await passbook(verb, "verify", "--json")
        assert (ended.code, ended.document["ok"]) == (0, True), ended
    assert (await passbook("account", "history", account_id, "--json")).document == history
    shown = (await passbook("account", "show", account_id, "--version", "2", "--json")).document
    assert shown["balance"] == "520.00"

    segment = directory / listed[-1]["segments"][0]["file"]
    content = segment.read_bytes()
    segment.write_bytes(content[:-1])
    ended = await passbook("archive", "verify", "--json")
    assert (ended.code, ended.document["wrong"]["where"]) == (1, segment.name)
    ended = await passbook("audit", "verify")
    assert ended.code == 1
    assert segment.name in ended.stderr
    looked = {one["name"]: one for one in (await passbook("doctor", "--json")).document["checks"]}
    assert not looked["archive"]["ok"]
    assert segment.name in looked["archive"]["detail"]
    segment.write_bytes(content)

    restored = await passbook("archive", "restore", "--json")
    assert (restored.code, restored.document["ok"]) == (0, True), restored.stderr
    assert (await passbook("archive", "list", "--json")).document == []
    assert (await passbook("account", "history", account_id, "--json")).document == history


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "either --before DATE or --closed"),
        (("--before", "2026-01-31", "--closed"), "either --before DATE or --closed"),
        (("--before", "2026-01-31T12:00"), "no time zone"),
    ],
)
async def test_what_to_archive_is_said_in_one_way(
    running_passbook: Program, arguments: tuple[str, ...], complaint: str
) -> None:
    ended = await running_passbook("archive", "run", *arguments)
    assert ended.code == 2
    assert complaint in ended.stderr
