"""Connections to PostgreSQL, opened the way every part of Passbook needs them."""

import asyncpg


async def open_pool(
    dsn: str, *, application: str, size: int = 4, connect_timeout_s: float = 10.0
) -> asyncpg.Pool:
    """Return a pool of up to `size` connections, named `application` in pg_stat_activity.

    Nothing of ours leaves state in a session, so a released connection is not reset: that would
    be one more round trip for every query.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=size,
        timeout=connect_timeout_s,
        reset=_keep,
        server_settings={"application_name": application},
    )


async def _keep(_connection: asyncpg.Connection) -> None:
    """Leave a released connection as it is."""
