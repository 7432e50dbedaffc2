"""Is the server one that the event store can be trusted to, and its clock one that can be believed?"""

from datetime import UTC, datetime
from typing import Final

import asyncpg

from passbook.eventstore.errors import StoreMismatch, StoreUnavailable

OLDEST_POSTGRES: Final = 18
LARGEST_CLOCK_DIFFERENCE_S: Final = 5.0

_SETTINGS: Final = """
SELECT name, setting FROM pg_settings
 WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off'
"""
_VERSION: Final = "SELECT current_setting('server_version_num')::integer"
_ISOLATION: Final = "SELECT current_setting('default_transaction_isolation')"
_GUARDS: Final = {
    "events_are_append_only": "events",
    "events_leave_on_record": "events",
    "commands_are_append_only": "commands",
}
"""Trigger → its table; the migrations make them."""
# Those of inline projections are guards too, where there are any. By name, not by `regclass`: a
# login that may not enter the schema is to be told of its rights, which are looked at next.
_UNGUARDED: Final = """
SELECT name || ' of eventstore.' || place
  FROM (SELECT t.tgname::text AS name, c.relname::text AS place, t.tgenabled
          FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
         WHERE c.relnamespace = to_regnamespace('eventstore') AND NOT t.tgisinternal) found
  FULL JOIN unnest($1::text[], $2::text[]) AS made(name, place) USING (name, place)
 WHERE tgenabled IS NULL OR tgenabled NOT IN ('O', 'A')
    OR current_setting('session_replication_role') <> 'origin'
 ORDER BY 1
"""
_READ_ONLY: Final = """
SELECT CASE WHEN pg_is_in_recovery() THEN 'it is a standby; promote it'
            WHEN current_setting('transaction_read_only')::boolean
            THEN 'default_transaction_read_only is on; turn it off' END
"""
_NOW: Final = "SELECT clock_timestamp()"
_BACKEND: Final = "SELECT pg_backend_pid()"


async def check_durability(connection: asyncpg.Connection) -> None:
    """Return if a commit of this server survives a crash.

    Raises:
        StoreMismatch: a setting is off. Source: PostgreSQL 18, section 19.5.1.
    """
    off = [row["name"] for row in await connection.fetch(_SETTINGS)]
    if off:
        message = f"{', '.join(off)} is off: commits could be lost; turn it on"
        raise StoreMismatch(message)


async def check_server(connection: asyncpg.Connection) -> None:
    """Return if the server is new enough, and transactions see what others have committed.

    Raises:
        StoreMismatch: it is not, or they do not: `append` would fail instead of waiting for its
            turn. Source: PostgreSQL 18, section 13.2.
    """
    major = await connection.fetchval(_VERSION) // 10_000
    if major < OLDEST_POSTGRES:
        message = f"this is PostgreSQL {major}: use {OLDEST_POSTGRES} or newer"
        raise StoreMismatch(message)
    isolation = await connection.fetchval(_ISOLATION)
    if isolation != "read committed":
        message = (
            f"default_transaction_isolation is {isolation}: "
            "set it to read committed for the login and the database"
        )
        raise StoreMismatch(message)


async def check_writable(connection: asyncpg.Connection) -> None:
    """Return if the server takes writes.

    Raises:
        StoreUnavailable: it does not, or not yet: in the middle of a failover that passes.
    """
    reason = await connection.fetchval(_READ_ONLY)
    if reason:
        message = f"PostgreSQL takes no writes: {reason}, or let the DSN name a server that does"
        raise StoreUnavailable(message)


async def check_guards(connection: asyncpg.Connection) -> None:
    """Return if the triggers that refuse changes to the log are there, and on.

    Raises:
        StoreMismatch: one is gone, or off, for everybody or for this login.
    """
    names, tables = list(_GUARDS), list(_GUARDS.values())
    off = [row[0] for row in await connection.fetch(_UNGUARDED, names, tables)]
    if off:
        message = (
            f"trigger {', '.join(off)} is off or gone: the log could be changed; "
            "enable it, or make it again as the migrations do"
        )
        raise StoreMismatch(message)


async def check_clock(connection: asyncpg.Connection) -> None:
    """Return if this machine and the server agree about the time: what happened when is stamped
    here, when it was recorded there.

    Raises:
        StoreMismatch: they are too far apart.
    """
    difference_s = await clock_difference_s(connection)
    if difference_s > LARGEST_CLOCK_DIFFERENCE_S:
        message = f"the clocks of this machine and of PostgreSQL are {difference_s:.0f} s apart: set both by NTP"
        raise StoreMismatch(message)


async def clock_difference_s(connection: asyncpg.Connection) -> float:
    """Return how far the clocks are apart, as far as can be told."""
    before = datetime.now(UTC)
    there = await connection.fetchval(_NOW)
    after = datetime.now(UTC)
    # Half the round trip is the part of the difference that cannot be told.
    return abs(float((there - (before + (after - before) / 2)).total_seconds()))


async def check_unpooled(connection: asyncpg.Connection) -> None:
    """Return if the server itself is connected, or something that passes everything on.

    Raises:
        StoreMismatch: a pooler is. It shares sessions, and with them the locks that say who leads.
    """
    if await connection.fetchval(_BACKEND) != connection.get_server_pid():
        message = "a connection pooler answers: let PASSBOOK_EVENT_STORE_DSN name PostgreSQL itself"
        raise StoreMismatch(message)
