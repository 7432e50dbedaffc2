"""Logins of this folder's own."""

import secrets
from collections.abc import AsyncIterator

import pytest

from tests.support.databases import connected
from tests.support.servers import Servers


@pytest.fixture
async def throwaway_login(servers: Servers) -> AsyncIterator[str]:
    """Give the name of a login without any right or password."""
    name = f"passbook_test_{secrets.token_hex(4)}"
    async with connected(servers.admin_dsn) as connection:
        await connection.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    async with connected(servers.admin_dsn) as connection:
        await connection.execute(f"DROP ROLE {name}")
