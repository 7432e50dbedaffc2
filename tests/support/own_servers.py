"""A PostgreSQL of one test's own: to be stopped, filled up, and put back to an older state."""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from passbook.cli.logins import give_passwords
from passbook.embedded.postgres import EmbeddedPostgres
from passbook.messaging.topics import Topics
from passbook.migrations import ROLES
from tests.support.databases import Database, connected
from tests.support.outsider import Outsider
from tests.support.program import Program
from tests.support.servers import open_directory
from tests.support.world import World, cleared


@asynccontextmanager
async def own_postgres(data_dir: Path | None = None) -> AsyncIterator[EmbeddedPostgres]:
    """Run a PostgreSQL for the length of the block."""
    with open_directory() as directory:
        postgres = EmbeddedPostgres(data_dir or directory / "postgres")
        try:
            await postgres.start()
            yield postgres
        finally:
            await postgres.stop()


@asynccontextmanager
async def world_on(
    postgres: EmbeddedPostgres, kafka: str, topics: Topics, folder: Path
) -> AsyncIterator[World]:
    """Have a migrated ledger on a PostgreSQL, without a running service."""
    migrate = Program({"PASSBOOK_EVENT_STORE_DSN": postgres.admin_dsn})
    migrated = await migrate("migrate")
    assert migrated.code == 0, migrated.stderr
    logins = {role: (role, secrets.token_hex(16)) for role in ROLES}
    await give_passwords(postgres.admin_dsn, dict(logins.values()))
    async with connected(postgres.admin_dsn) as admin:
        environment = await admin.fetchval("SELECT environment_id FROM eventstore.store_info")
        database = Database("passbook", postgres.admin_dsn, environment, logins)
        outsider = Outsider(kafka, topics.prefix, topics.partitions)
        world = World(database, admin, kafka, topics, folder, outsider)
        async with cleared(world):
            yield world


async def copied(source: Path, target: Path) -> None:
    """Put a copy of the files of a stopped server in the place of `target`, their owners included."""
    shutil.rmtree(target, ignore_errors=True)
    process = await asyncio.create_subprocess_exec("cp", "-a", source, target)
    assert await process.wait() == 0


def files_of(postgres: EmbeddedPostgres) -> Path:
    """Return the data directory proper."""
    note = postgres.data_dir / "location"
    home = Path(note.read_text().strip()) if note.exists() else postgres.data_dir
    return home / "pgdata"
