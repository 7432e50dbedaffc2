"""A database of its own for every test: a clone of one that was migrated once.

Logins are made for this run and hold the service roles as members, so that the roles of the
server itself, their passwords included, stay as they are.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import UUID, uuid4

import asyncpg
import pytest

from passbook.eventstore.pool import open_pool
from passbook.eventstore.preflight import event_store_migrations
from passbook.migrations import ROLES, Migration, apply_migrations
from passbook.projection.protocol import projection_migrations
from services.audit_projector.projection import AuditProjection
from services.balance_projector.projection import BalanceProjection
from tests.support.servers import Servers

_CONNECT_TIMEOUT_S: Final = 10.0
_NEW_ENVIRONMENT: Final = "UPDATE eventstore.store_info SET environment_id = $1"


@dataclass(frozen=True, slots=True)
class Database:
    """One database. `admin_dsn` owns it; `dsn(role)` is a login that may do what the role may."""

    name: str
    admin_dsn: str
    environment_id: UUID
    logins: Mapping[str, tuple[str, str]]

    def dsn(self, role: str) -> str:
        """Return the DSN of a real login, with a password, for one of `passbook.migrations.ROLES`."""
        user, password = self.logins[role]
        return _replaced(self.admin_dsn, login=f"{quote(user)}:{quote(password)}")


MakeDatabase = Callable[[], Awaitable[Database]]
Connect = Callable[..., Awaitable[asyncpg.Connection]]
OpenPool = Callable[..., Awaitable[asyncpg.Pool]]


@dataclass(frozen=True, slots=True)
class Template:
    """The migrated database that tests clone, and the logins of this run."""

    name: str
    logins: Mapping[str, tuple[str, str]]


@pytest.fixture(scope="session")
async def template(servers: Servers) -> AsyncIterator[Template]:
    """Give the migrated template; nobody may connect to it, or it could not be cloned."""
    run = secrets.token_hex(4)
    async with _fresh_database(servers.admin_dsn, f"passbook_test_{run}") as (name, dsn):
        logins = {role: (f"{name}_{role}", secrets.token_hex(16)) for role in ROLES}
        async with connected(dsn) as connection:
            await apply_migrations(connection, every_migration())
            for role, (user, password) in logins.items():
                await connection.execute(
                    f"CREATE ROLE {user} LOGIN PASSWORD '{password}' IN ROLE {role}"
                )
        yield Template(name, logins)
        for user, _ in logins.values():
            await _administer(servers.admin_dsn, f"DROP ROLE {user}")


@pytest.fixture
async def make_database(servers: Servers, template: Template) -> AsyncIterator[MakeDatabase]:
    """Give a function that returns a new migrated, empty database; all are dropped afterwards."""
    async with AsyncExitStack() as stack:
        yield lambda: stack.enter_async_context(cloned(servers, template))


@asynccontextmanager
async def cloned(servers: Servers, template: Template) -> AsyncIterator[Database]:
    """Have a new migrated, empty database for the length of the block."""
    name = f"{template.name}_{secrets.token_hex(4)}"
    async with _fresh_database(servers.admin_dsn, name, template.name) as (_, dsn):
        environment_id = uuid4()
        async with connected(dsn) as connection:
            await connection.execute(_NEW_ENVIRONMENT, environment_id)
        yield Database(name, dsn, environment_id, template.logins)


@pytest.fixture
async def database(make_database: MakeDatabase) -> Database:
    """Give a migrated, empty database: event store, balances and audit log."""
    return await make_database()


@pytest.fixture
async def unmigrated_dsn(servers: Servers) -> AsyncIterator[str]:
    """Give the owner's DSN of a database with nothing in it."""
    name = f"passbook_test_empty_{secrets.token_hex(4)}"
    async with _fresh_database(servers.admin_dsn, name) as (_, dsn):
        yield dsn


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect for as long as the block."""
    connection = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S)
    try:
        yield connection
    finally:
        await _close(connection)


@pytest.fixture
async def connect(database: Database) -> AsyncIterator[Connect]:
    """Give a function that connects to the test's database, as its owner or as a role."""
    async with AsyncExitStack() as stack:

        async def open_connection(role: str | None = None) -> asyncpg.Connection:
            dsn = database.admin_dsn if role is None else database.dsn(role)
            return await stack.enter_async_context(connected(dsn))

        yield open_connection


@pytest.fixture
async def pools(database: Database) -> AsyncIterator[OpenPool]:
    """Give a function that opens a pool on the test's database, as its owner or as a role."""
    async with AsyncExitStack() as stack:

        async def pool(role: str | None = None, *, size: int = 4) -> asyncpg.Pool:
            dsn = database.admin_dsn if role is None else database.dsn(role)
            opened = await open_pool(dsn, application="passbook-tests", size=size)
            stack.push_async_callback(_close_pool, opened)
            return opened

        yield pool


def every_migration() -> list[Migration]:
    """Return all scripts of the event store and of both read models."""
    return event_store_migrations() + projection_migrations(BalanceProjection(), AuditProjection())


@asynccontextmanager
async def _fresh_database(
    admin_dsn: str, name: str, template: str = "template0"
) -> AsyncIterator[tuple[str, str]]:
    await _administer(admin_dsn, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield name, _replaced(admin_dsn, database=name)
    finally:
        await _administer(admin_dsn, f"DROP DATABASE {name} WITH (FORCE)")


async def _administer(admin_dsn: str, statement: str) -> None:
    async with connected(admin_dsn) as connection:
        await connection.execute(statement)


async def _close(connection: asyncpg.Connection) -> None:
    if not connection.is_closed():
        await connection.close(timeout=5)


async def _close_pool(pool: asyncpg.Pool) -> None:
    try:
        async with asyncio.timeout(5):
            await pool.close()
    except TimeoutError:
        pool.terminate()


def _replaced(dsn: str, *, login: str | None = None, database: str | None = None) -> str:
    parts = urlsplit(dsn)
    if login is not None:
        parts = parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}")
    if database is not None:
        parts = parts._replace(path=f"/{database}")
    return urlunsplit(parts)
