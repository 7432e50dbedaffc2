"""Before anything else: is this database the one, migrated, and set up to keep what it commits?"""

from typing import Final
from uuid import UUID

import asyncpg
import structlog

from passbook.domain.slots import SLOT_COUNT
from passbook.eventstore.errors import StoreMismatch
from passbook.eventstore.rights import NEEDS, READS_LOG, check_rights, too_much
from passbook.eventstore.server import (
    check_clock,
    check_durability,
    check_guards,
    check_server,
    check_unpooled,
    check_writable,
)
from passbook.migrations import Migration, MigrationError, load_migrations, pending_migrations

_INFO: Final = "SELECT environment_id, slot_count FROM eventstore.store_info"
_STAMPS: Final = "passbook_command_service"
_LEADS: Final = "passbook_outbox_relay"
_WRITES: Final = (_STAMPS, _LEADS)

log = structlog.get_logger()


def event_store_migrations() -> list[Migration]:
    """Return the scripts of the event store."""
    return load_migrations("eventstore", "passbook.eventstore")


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


async def check_event_store(
    connection: asyncpg.Connection, login: str | None = None, *, allow_unsafe: bool = False
) -> UUID:
    """Return the environment id of an event store that is fit for use, by a service that is to log
    in as `login` if one is named. A login that could do more than it should is logged.

    Raises:
        StoreMismatch: it is not; the message says why and what to do.
        StoreUnavailable: the server takes no writes, and the service writes.
    """
    if login in _WRITES:
        await check_writable(connection)
    await check_server(connection)
    if not allow_unsafe:
        await check_durability(connection)
    await check_migrated(connection, event_store_migrations())
    await check_guards(connection)
    if login is not None:
        await _check_for(connection, login)
    return await identified(connection)


async def identified(connection: asyncpg.Connection) -> UUID:
    """Return the environment id of an event store that deals accounts into slots as this code does.

    Raises:
        StoreMismatch: it does not.
    """
    environment, slots = await connection.fetchrow(_INFO)
    if slots != SLOT_COUNT:
        message = f"the store has {slots} slots, this code {SLOT_COUNT}"
        raise StoreMismatch(message)
    return UUID(str(environment))


async def _check_for(connection: asyncpg.Connection, login: str) -> None:
    await check_rights(connection, login, NEEDS.get(login, READS_LOG))
    if login == _LEADS:
        await check_unpooled(connection)
    if login == _STAMPS:
        await check_clock(connection)
    reason = await too_much(connection)
    if reason:
        user = await connection.fetchval("SELECT current_user")
        log.warning("service.overprivileged", login=user, reason=reason, meant=login)
