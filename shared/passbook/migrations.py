"""Schema migrations: numbered SQL scripts, each applied once, in order, in a transaction of its own.

A script that was applied is frozen: its SHA-256 is kept and compared on every run. An advisory
lock lets any number of processes start at once. Logins are created here too, without a password,
because one script may run against several databases of one server and roles belong to the server.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import asyncpg

ROLES: Final = (
    "passbook_command_service",
    "passbook_outbox_relay",
    "passbook_balance_projector",
    "passbook_audit_projector",
    "passbook_reader",
    "passbook_query_api",
)
"""One login a service, with only its verbs, and one that only reads."""
_READERS: Final = ("passbook_query_api",)
"""Logins that may do what `passbook_reader` may, wherever that is granted later."""

_LOCK_KEY: Final = 0x7061_7373_626B  # "passbk"

_LOCK: Final = "SELECT pg_advisory_lock($1)"
_UNLOCK: Final = "SELECT pg_advisory_unlock($1)"
_EXISTS: Final = "SELECT to_regclass('passbook.migrations') IS NOT NULL"
_TABLE: Final = """
CREATE SCHEMA IF NOT EXISTS passbook;
CREATE TABLE IF NOT EXISTS passbook.migrations (
    component  text NOT NULL,
    version    integer NOT NULL,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (component, version)
);
GRANT USAGE ON SCHEMA passbook TO PUBLIC;
GRANT SELECT ON passbook.migrations TO PUBLIC;
"""
_APPLIED: Final = "SELECT component, version, checksum FROM passbook.migrations"
_RECORD: Final = (
    "INSERT INTO passbook.migrations (component, version, name, checksum) VALUES ($1, $2, $3, $4)"
)
# Two databases of one server may be migrated at once: a role that appeared meanwhile is fine.
_ROLE: Final = """
DO $do$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} LOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $do$
"""
_READS: Final = """
DO $do$ BEGIN
    IF NOT pg_has_role('{role}', 'passbook_reader', 'USAGE') THEN
        GRANT passbook_reader TO {role};
    END IF;
EXCEPTION WHEN unique_violation THEN NULL;
END $do$
"""


class MigrationError(RuntimeError):
    """The database and this code do not fit together; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One script: `component` is a family of scripts, `version` counts 1, 2, 3 … inside it."""

    component: str
    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the script, in hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def load_migrations(component: str, package: str) -> list[Migration]:
    """Return the scripts `NNNN_name.sql` in the folder `migrations` of a package, in order."""
    scripts = sorted(
        (
            entry
            for entry in (files(package) / "migrations").iterdir()
            if entry.name.endswith(".sql")
        ),
        key=lambda entry: entry.name,
    )
    return [
        Migration(component, int(script.name[:4]), script.name[:-4], script.read_text("utf-8"))
        for script in scripts
    ]


async def apply_migrations(
    connection: asyncpg.Connection, migrations: Sequence[Migration]
) -> list[Migration]:
    """Bring the database up to date; return what had to be applied, which may be nothing.

    Raises:
        MigrationError: an applied script differs from this code's, or is unknown to it.
    """
    await connection.execute(_LOCK, _LOCK_KEY)
    try:
        for role in ROLES:
            await connection.execute(_ROLE.format(role=role))
        for role in _READERS:
            await connection.execute(_READS.format(role=role))
        await connection.execute(_TABLE)
        pending = await _pending(connection, migrations)
        for migration in pending:
            async with connection.transaction():
                await connection.execute(migration.sql)
                await connection.execute(
                    _RECORD,
                    migration.component,
                    migration.version,
                    migration.name,
                    migration.checksum,
                )
        return pending
    finally:
        await connection.execute(_UNLOCK, _LOCK_KEY)


async def pending_migrations(
    connection: asyncpg.Connection, migrations: Sequence[Migration]
) -> list[Migration]:
    """Return what `apply_migrations` would apply, changing nothing.

    Raises:
        MigrationError: as `apply_migrations`.
    """
    if not await connection.fetchval(_EXISTS):
        return list(migrations)
    return await _pending(connection, migrations)


async def _pending(
    connection: asyncpg.Connection, migrations: Sequence[Migration]
) -> list[Migration]:
    applied = {
        (row["component"], row["version"]): row["checksum"]
        for row in await connection.fetch(_APPLIED)
    }
    known = {(migration.component, migration.version) for migration in migrations}
    components = {migration.component for migration in migrations}
    for component, version in applied:
        if component in components and (component, version) not in known:
            message = (
                f"the database has migration {component} {version}, which this code does not know: "
                "it was migrated by a newer Passbook; run that one"
            )
            raise MigrationError(message)
    pending = []
    for migration in migrations:
        checksum = applied.get((migration.component, migration.version))
        if checksum is None:
            pending.append(migration)
        elif checksum != migration.checksum:
            message = (
                f"migration {migration.component} {migration.name} was changed after it was applied: "
                "restore the script and put the change into a new one"
            )
            raise MigrationError(message)
    return pending
