"""A PostgreSQL of this folder's own, set up as an operator does, with the logins' own passwords.

On the server that all tests share, the services' logins belong to whoever runs it.
"""

import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from passbook.cli.logins import give_passwords
from passbook.embedded.postgres import EmbeddedPostgres
from passbook.eventstore.postgres import PostgresEventStore
from passbook.migrations import ROLES, apply_migrations
from passbook.projection.inline import install_inline
from passbook.projection.rebuild import Rebuilding
from services.balance_projector.projection import BalanceProjection, inline
from tests.integration.projection.reading import write_history
from tests.support.databases import connected, every_migration
from tests.support.projected import project
from tests.support.servers import Servers

STRANGER: Final = "passbook_test_stranger"
LOGINS: Final = (*ROLES, STRANGER)
STATES: Final = ("migrated", "rebuilt", "inline")
"""What was done to a database: nothing else; a read model was replaced by a rebuilt one, which left
the old one beside it; an inline projection was installed."""


@dataclass(frozen=True, slots=True)
class Place:
    """A server with one database a state. `passwords` is login → password."""

    admin_dsn: str
    passwords: Mapping[str, str]

    def dsn(self, state: str, login: str | None = None) -> str:
        """Return the DSN of a login, or of the owner."""
        parts = urlsplit(self.admin_dsn)
        if login is not None:
            host = parts.netloc.rpartition("@")[2]
            parts = parts._replace(netloc=f"{login}:{self.passwords[login]}@{host}")
        return urlunsplit(parts._replace(path=f"/{state}"))


@pytest.fixture(scope="session")
async def place() -> AsyncIterator[Place]:
    """Give the server, for all tests of this folder: what they change, they take back."""
    with tempfile.TemporaryDirectory(prefix="passbook-tests-", ignore_cleanup_errors=True) as name:
        os.chmod(name, 0o711)  # noqa: S103, PTH101 - the server's account has to enter it
        postgres = EmbeddedPostgres(Path(name) / "postgres")
        await postgres.start()
        try:
            passwords = {login: secrets.token_urlsafe(12) for login in LOGINS}
            place = Place(postgres.admin_dsn, passwords)
            async with connected(postgres.admin_dsn) as admin:
                await admin.execute(f"CREATE ROLE {STRANGER} LOGIN")
                for state in STATES:
                    await admin.execute(f"CREATE DATABASE {state}")
            for state in STATES:
                await _prepare(place.dsn(state), state)
            await give_passwords(postgres.admin_dsn, passwords)
            yield place
        finally:
            await postgres.stop()


async def _prepare(dsn: str, state: str) -> None:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=8) as owner:
        async with owner.acquire() as connection:
            await apply_migrations(connection, every_migration())
        store = PostgresEventStore(owner)
        await write_history(store, 1, accounts=3, steps=20)
        await project(owner, BalanceProjection())
        if state == "rebuilt":
            environment = await owner.fetchval("SELECT environment_id FROM eventstore.store_info")
            rebuilding = Rebuilding(BalanceProjection(), owner, store, environment)
            assert (await rebuilding.rebuild()).ok
        if state == "inline":
            async with owner.acquire() as connection:
                await install_inline(connection, store, inline())


@pytest.fixture
async def throwaway_login(servers: Servers) -> AsyncIterator[str]:
    """Give the name of a login without any right or password."""
    name = f"passbook_test_{secrets.token_hex(4)}"
    async with connected(servers.admin_dsn) as connection:
        await connection.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    async with connected(servers.admin_dsn) as connection:
        await connection.execute(f"DROP ROLE {name}")
