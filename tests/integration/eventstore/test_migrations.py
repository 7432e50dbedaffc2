"""Schema migrations: each script once, in order, unchanged, whoever starts first."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

import asyncpg
import pytest

from passbook.eventstore.preflight import event_store_migrations
from passbook.migrations import (
    ROLES,
    Migration,
    MigrationError,
    apply_migrations,
    pending_migrations,
)
from tests.support.databases import connected, every_migration

_FIRST: Final = Migration("toys", 1, "0001_toys", "CREATE TABLE toys (name text)")
_SECOND: Final = Migration("toys", 2, "0002_colour", "ALTER TABLE toys ADD colour text")


@pytest.fixture
async def connection(unmigrated_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Give the owner's connection to an empty database."""
    async with connected(unmigrated_dsn) as connection:
        yield connection


async def _columns(connection: asyncpg.Connection) -> list[str]:
    rows = await connection.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'toys' ORDER BY 1"
    )
    return [row[0] for row in rows]


async def test_everything_is_applied_once(connection: asyncpg.Connection) -> None:
    everything = every_migration()
    assert await pending_migrations(connection, everything) == everything
    assert await apply_migrations(connection, everything) == everything
    assert await apply_migrations(connection, everything) == []
    assert await pending_migrations(connection, everything) == []
    found = await connection.fetchval(
        "SELECT count(*) FROM pg_roles WHERE rolname = ANY ($1) AND rolcanlogin", ROLES
    )
    assert found == len(ROLES)


async def test_only_what_is_missing_is_applied(connection: asyncpg.Connection) -> None:
    await apply_migrations(connection, [_FIRST])
    assert await pending_migrations(connection, [_FIRST, _SECOND]) == [_SECOND]
    assert await apply_migrations(connection, [_FIRST, _SECOND]) == [_SECOND]
    assert await _columns(connection) == ["colour", "name"]


async def test_looking_changes_nothing(connection: asyncpg.Connection) -> None:
    assert await pending_migrations(connection, [_FIRST]) == [_FIRST]
    assert await _columns(connection) == []
    assert await connection.fetchval("SELECT to_regnamespace('passbook') IS NULL")


async def test_a_script_that_was_changed_after_it_was_applied_is_refused(
    connection: asyncpg.Connection,
) -> None:
    await apply_migrations(connection, [_FIRST])
    changed = replace(_FIRST, sql=_FIRST.sql + " -- harmless")
    for look in (apply_migrations, pending_migrations):
        with pytest.raises(MigrationError, match="toys 0001_toys was changed after it was applied"):
            await look(connection, [changed, _SECOND])
    assert await _columns(connection) == ["name"]


async def test_a_database_of_newer_code_is_refused(connection: asyncpg.Connection) -> None:
    await apply_migrations(connection, [_FIRST, _SECOND])
    with pytest.raises(MigrationError, match="toys 2, which this code does not know"):
        await apply_migrations(connection, [_FIRST])


async def test_scripts_of_other_components_are_none_of_our_business(
    connection: asyncpg.Connection,
) -> None:
    await apply_migrations(connection, [_FIRST])
    other = replace(_SECOND, component="colours", version=1)
    assert await apply_migrations(connection, [other]) == [other]


async def test_a_script_that_fails_leaves_those_before_it_and_no_lock(
    connection: asyncpg.Connection, unmigrated_dsn: str
) -> None:
    broken = replace(_SECOND, sql="ALTER TABLE toys ADD colour text; SELECT 1 / 0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await apply_migrations(connection, [_FIRST, broken])
    assert await _columns(connection) == ["name"]

    async with connected(unmigrated_dsn) as second, asyncio.timeout(5):
        assert await apply_migrations(second, [_FIRST, _SECOND]) == [_SECOND]


async def test_of_two_who_migrate_at_once_one_does_the_work(unmigrated_dsn: str) -> None:
    """Seen to fail: without the advisory lock, on a schema that exists already."""

    async def migrate() -> list[Migration]:
        async with connected(unmigrated_dsn) as connection:
            return await apply_migrations(connection, every_migration())

    applied = await asyncio.gather(*(migrate() for _ in range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, len(every_migration())]


async def test_the_scripts_of_the_event_store_are_numbered_on() -> None:
    scripts = event_store_migrations()
    assert [script.version for script in scripts] == list(range(1, len(scripts) + 1))
    assert all(len(script.checksum) == 64 for script in scripts)
