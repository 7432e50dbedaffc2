"""One process at a time moves events between the table and the archive."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from passbook.eventstore.errors import AnotherArchiving

_KEY: Final = 0x7061_7373_6172  # "passar"
_LOCK: Final = "SELECT pg_try_advisory_lock($1)"
_UNLOCK: Final = "SELECT pg_advisory_unlock($1)"


@asynccontextmanager
async def alone(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    """Give the connection that holds the lock. It goes with the connection, also after kill -9:
    whatever removes rows must be done through it.

    Raises:
        AnotherArchiving: somebody else holds it.
    """
    async with pool.acquire() as connection:
        if not await connection.fetchval(_LOCK, _KEY):
            message = "another archive run or restore is under way: wait for its end"
            raise AnotherArchiving(message)
        try:
            yield connection
        finally:
            if not connection.is_closed():
                await connection.execute(_UNLOCK, _KEY)
