"""One session, one server: a database that was restored comes with a server that was started anew."""

import asyncio
from collections.abc import Coroutine
from typing import Final

import asyncpg

from passbook.eventstore.errors import StoreUnavailable
from passbook.eventstore.pool import FAILURES, lent

_WHICH: Final = """
SELECT pg_postmaster_start_time()::text || ' ' || oid FROM pg_database
 WHERE datname = current_database()
"""


_LOOK_EVERY_S: Final = 2.0
_TIMEOUT_S: Final = 30.0


class SameServer:
    """Lets connections of a pool in as long as all of them are to the same start of the same server,
    and the same database there.

    A pool replaces broken connections without a word. Whoever has compared the store with something
    else must not go on, on a new connection, with a store that was exchanged meanwhile.
    """

    def __init__(self) -> None:
        """The first connection says which one it is."""
        self._which = ""

    async def __call__(self, connection: asyncpg.Connection) -> None:
        """Return if a new connection is to the same one.

        Raises:
            StoreUnavailable: it is not; start anew, and compare again.
        """
        which = await connection.fetchval(_WHICH)
        if self._which and which != self._which:
            message = "PostgreSQL was started anew"
            raise StoreUnavailable(message)
        self._which = which


async def while_same(pool: asyncpg.Pool, work: Coroutine[None, None, None]) -> None:
    """Do the work as long as the pool, which a `SameServer` guards, leads to the same server; `work`
    is cancelled when it does not any more, also when it has nothing to do at that moment.

    Raises:
        StoreUnavailable: the server was exchanged, or does not answer.
    """
    working, watching = asyncio.create_task(work), asyncio.create_task(_watch(pool))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.wait({working, watching})
    if not working.cancelled():
        return working.result()
    return watching.result()


async def _watch(pool: asyncpg.Pool) -> None:
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        try:
            async with lent(pool, _TIMEOUT_S) as connection:
                await connection.execute("SELECT")
        except FAILURES as error:
            message = f"PostgreSQL: {error or type(error).__name__}"
            raise StoreUnavailable(message) from error
