"""deploy/runbooks/full-disk.md: the disks of both servers run full under load, on file systems of a few
megabytes; nothing is lost, and all goes on when there is room again.
"""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from passbook.embedded.kafka import EmbeddedKafka
from passbook.embedded.postgres import EmbeddedPostgres
from passbook.messaging.topics import Topics, apply_topics
from tests.support.databases import Connect
from tests.support.outsider import Outsider
from tests.support.own_servers import own_postgres, world_on
from tests.support.reckoning import evidence_holds, reckon
from tests.support.runbook import Page
from tests.support.servers import Servers, open_directory
from tests.support.until import is_alive, until
from tests.support.world import COMMAND_SERVICE, SERVICES, World

pytestmark = pytest.mark.timeout(300)

PAGE: Final = Page("full-disk")
_BLOCK: Final = bytes(1 << 16)


async def test_postgresql_on_a_full_disk_refuses_and_goes_on_when_there_is_room(
    servers: Servers, topics: Topics, tmp_path: Path
) -> None:
    async with (
        small_disk(512) as disk,
        own_postgres(disk / "pg") as postgres,
        world_on(postgres, servers.kafka_bootstrap, topics, tmp_path) as world,
    ):
        expected = await world.backlog(200, 20)
        await world.run(*SERVICES)
        await world.current(expected.events)
        fill(disk)
        await world.backlog(6_000, 200, before=expected)
        decider = world.running(COMMAND_SERVICE)
        await decider.ready(yes=False)
        assert decider.logged("service.unavailable")

        (disk / "filler").unlink()
        await _running(postgres, world)
        await PAGE.follow(world.operator, "How to know that it is over")
        await reckon(world, expected, deadline_s=120)


async def test_kafka_on_a_full_disk_ends_and_goes_on_when_there_is_room(
    world: World, connect: Connect
) -> None:
    async with small_disk(256) as disk:
        broker = EmbeddedKafka(disk / "kafka")
        await broker.start()
        try:
            await _moved_to(world, broker)
            expected = await world.backlog(300, 30)
            await world.run(*SERVICES)
            await world.current(expected.events)
            fill(disk)
            sending = asyncio.create_task(world.backlog(20_000, 200, before=expected))
            async with asyncio.timeout(60):
                await broker.ended()
            (disk / "filler").unlink()
            await broker.stop()
            await broker.start()
            await sending
            await reckon(world, expected, deadline_s=120)
            await evidence_holds(connect, expected.events)
        finally:
            await broker.stop()


async def _moved_to(world: World, broker: EmbeddedKafka) -> None:
    world.kafka = broker.bootstrap
    world.outsider = Outsider(broker.bootstrap, world.topics.prefix, world.topics.partitions)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    await apply_topics(admin, world.topics)
    await admin.close()


@asynccontextmanager
async def small_disk(megabytes: int) -> AsyncIterator[Path]:
    """Have a file system of its own there. Where nobody may mount one, the test is not about a disk
    any more, and says so.
    """
    size = f"size={megabytes}m,mode=755"
    with open_directory() as folder:
        if await _ran("mount", "-t", "tmpfs", "-o", size, "tmpfs", folder):
            pytest.xfail("a file system can be mounted by root only: nothing was filled up")
        try:
            yield folder
        finally:
            await _ran("umount", "-l", folder)


def fill(disk: Path) -> None:
    """Take all the room that is left."""
    with (disk / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(_BLOCK)
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - it ends like this every time


async def _running(postgres: EmbeddedPostgres, world: World) -> None:
    """Do what keeps a server running does: start it again if it has ended."""

    async def answers() -> bool:
        try:
            world.admin = await asyncpg.connect(postgres.admin_dsn)
        except (OSError, asyncpg.PostgresError):
            if postgres.pid is None or not is_alive(postgres.pid):
                await postgres.stop()
                await postgres.start()
            return False
        return True

    await until(answers, 60)


async def _ran(*command: object) -> int:
    process = await asyncio.create_subprocess_exec(
        *map(os.fspath, map(str, command)), stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait()
