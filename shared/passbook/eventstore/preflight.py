"""Before anything else: is this database the one, migrated, and set up to keep what it commits?"""

from typing import Final
from uuid import UUID

import asyncpg

from passbook.domain.slots import SLOT_COUNT
from passbook.eventstore.errors import StoreMismatch
from passbook.migrations import Migration, MigrationError, load_migrations, pending_migrations

_SETTINGS: Final = """
SELECT name, setting FROM pg_settings
 WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off'
"""
_INFO: Final = "SELECT environment_id, slot_count FROM eventstore.store_info"


def event_store_migrations() -> list[Migration]:
    """Return the scripts of the event store."""
    return load_migrations("eventstore", "passbook.eventstore")


async def check_durability(connection: asyncpg.Connection) -> None:
    """Return if a commit of this server survives a crash.

    Raises:
        StoreMismatch: a setting is off. Source: PostgreSQL 18, section 19.5.1.
    """
    off = [row["name"] for row in await connection.fetch(_SETTINGS)]
    if off:
        message = f"{', '.join(off)} is off: commits could be lost; turn it on"
        raise StoreMismatch(message)


async def check_migrated(connection: asyncpg.Connection, migrations: list[Migration]) -> None:
    """Return if every migration is applied, unchanged.

    Raises:
        StoreMismatch: with what to do about it.
    """
    try:
        pending = await pending_migrations(connection, migrations)
    except MigrationError as error:
        raise StoreMismatch(str(error)) from error
    if pending:
        names = ", ".join(f"{migration.component} {migration.name}" for migration in pending)
        message = f"not migrated: {names}; run `passbook migrate`"
        raise StoreMismatch(message)


async def check_event_store(connection: asyncpg.Connection, *, allow_unsafe: bool = False) -> UUID:
    """Return the environment id of an event store that is fit for use.

    Raises:
        StoreMismatch: it is not; the message says why and what to do.
    """
    if not allow_unsafe:
        await check_durability(connection)
    await check_migrated(connection, event_store_migrations())
    environment, slots = await connection.fetchrow(_INFO)
    if slots != SLOT_COUNT:
        message = f"the store has {slots} slots, this code {SLOT_COUNT}"
        raise StoreMismatch(message)
    return UUID(str(environment))
