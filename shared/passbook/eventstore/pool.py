"""Connections to PostgreSQL, opened the way every part of Passbook needs them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg

FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # What a query gets on a connection that was cut this very moment, while it lay idle.
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""What the driver raises for any reason; which one it was, a SQLSTATE says."""

OnConnect = Callable[[asyncpg.Connection], Awaitable[None]]

# What a server says of data that it cannot read quotes it.
_DATA_EXCEPTION: Final = "22"

# A process that is frozen in the middle of a transaction, or whose machine is gone, would hold its
# locks for as long as the server believes in it, and with them whoever took over from it.
_IDLE_IN_TRANSACTION_MS: Final = 5_000


async def open_pool(
    dsn: str,
    *,
    application: str,
    size: int = 4,
    connect_timeout_s: float = 10.0,
    init: OnConnect | None = None,
) -> asyncpg.Pool:
    """Return a pool of up to `size` connections, named `application` in pg_stat_activity. Each is
    handed to `init` before its first use.

    Nothing of ours leaves state in a session, so a released connection is not reset: that would
    be one more round trip for every query.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=size,
        timeout=connect_timeout_s,
        reset=_keep,
        init=init,
        server_settings={
            "application_name": application,
            "idle_in_transaction_session_timeout": str(_IDLE_IN_TRANSACTION_MS),
        },
    )


def said(error: Exception) -> str:
    """Return what may be told of a driver's failure wherever logs are read: without the server's
    DETAIL and HINT, which quote rows, and without the message where that may do so, too.
    """
    if not isinstance(error, asyncpg.PostgresError):
        return str(error) or type(error).__name__
    state = error.sqlstate or ""
    if state.startswith(_DATA_EXCEPTION) or not error.args:
        return f"{type(error).__name__} (SQLSTATE {state})"
    return str(error.args[0])


@asynccontextmanager
async def lent(pool: asyncpg.Pool, timeout_s: float) -> AsyncIterator[asyncpg.Connection]:
    """Lend a connection of a pool for at most `timeout_s`, then break it off.

    Breaking off is what ends a call to a server that has stopped to answer. Cancelling the call
    does not: the driver would ask that same server to cancel it, and wait for its answer before it
    rolls back or gives the connection back.

    Raises:
        TimeoutError: no connection could be had in time.
        asyncpg.InterfaceError, asyncpg.PostgresError, OSError: the connection was broken off.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    async with asyncio.timeout_at(deadline):
        connection = await pool.acquire()
    watchdog = loop.call_at(deadline, _break_off, connection)
    try:
        try:
            yield connection
        finally:
            await pool.release(connection)
    finally:
        watchdog.cancel()


def _break_off(connection: asyncpg.Connection) -> None:
    with suppress(asyncpg.InterfaceError):  # it was given back this very moment
        connection.terminate()


async def _keep(_connection: asyncpg.Connection) -> None:
    """Leave a released connection as it is."""
