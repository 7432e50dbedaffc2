"""One process at a time moves events between the table and the archive."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from passbook.eventstore.errors import AnotherArchiving

_KEY: Final = 0x7061_7373_6172  # "passar"
# The session of a run that was killed holds the lock until the server has ended its statement.
_PATIENCE: Final = "10s"

_LOCK: Final = """
SELECT set_config('lock_timeout', $2, false), pg_advisory_lock($1),
       set_config('lock_timeout', '0', false)
"""
_UNLOCK: Final = "SELECT pg_advisory_unlock($1), set_config('lock_timeout', '0', false)"


@asynccontextmanager
async def alone(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    """Give the connection that holds the lock. It goes with the connection, also after kill -9:
    whatever removes rows must be done through it.

    Raises:
        AnotherArchiving: somebody else holds it, and goes on holding it.
    """
    async with pool.acquire() as connection:
        try:
            await connection.execute(_LOCK, _KEY, _PATIENCE)
        except asyncpg.LockNotAvailableError as error:
            message = "another archive run or restore is under way: wait for its end"
            raise AnotherArchiving(message) from error
        try:
            yield connection
        finally:
            if not connection.is_closed():
                await connection.execute(_UNLOCK, _KEY)
