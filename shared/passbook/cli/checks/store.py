"""PostgreSQL: versions, settings, schema, rights, clocks, and positions that fit each other."""

from datetime import UTC, datetime
from typing import Final

import asyncpg

from passbook.cli.checks.finding import Verdict, failed, fine, warning
from passbook.eventstore.preflight import check_durability
from passbook.migrations import Migration, pending_migrations
from services.outbox_relay.queries import relay_backlog, relay_leaders

_OLDEST_POSTGRES: Final = 18
_LARGEST_CLOCK_DIFFERENCE_S: Final = 5.0
_LARGEST_BACKLOG_S: Final = 10.0

_RIGHTS: Final = """
SELECT current_user AS login, r.rolsuper AS superuser,
       has_table_privilege('eventstore.events', 'SELECT') AS reads,
       has_table_privilege('eventstore.events', 'INSERT, UPDATE, DELETE, TRUNCATE') AS writes,
       has_function_privilege(f.oid, 'EXECUTE') AS appends
  FROM pg_roles r, pg_proc f
 WHERE r.rolname = current_user
   AND f.pronamespace = 'eventstore'::regnamespace AND f.proname = 'append'
"""
_HEADS: Final = "SELECT slot, head FROM eventstore.slots"
_POSITIONS: Final = "SELECT projection, slot, slot_seq FROM projections.positions"
_PUBLISHED: Final = "SELECT 'outbox relay', slot, published_seq FROM eventstore.relay_positions"
_STORE: Final = "SELECT environment_id FROM eventstore.store_info"
_BUILT_FROM: Final = "SELECT projection, environment_id FROM projections.installed"


async def version(connection: asyncpg.Connection) -> Verdict:
    """Say which PostgreSQL answers."""
    found = f"PostgreSQL {await connection.fetchval('SHOW server_version')}"
    if connection.get_server_version().major < _OLDEST_POSTGRES:
        return failed(found, f"use PostgreSQL {_OLDEST_POSTGRES} or newer")
    return fine(found)


async def durability(connection: asyncpg.Connection) -> Verdict:
    """Say whether a commit survives a crash."""
    await check_durability(connection)
    return fine("fsync, full_page_writes and synchronous_commit are on")


async def schema(connection: asyncpg.Connection, migrations: list[Migration]) -> Verdict:
    """Say whether every migration is applied."""
    pending = await pending_migrations(connection, migrations)
    if pending:
        names = ", ".join(f"{one.component} {one.name}" for one in pending)
        return failed(f"pending: {names}", "run `passbook migrate`")
    return fine(f"{len(migrations)} migrations are applied, unchanged")


async def rights(connection: asyncpg.Connection) -> Verdict:
    """Say what the login may do to the log."""
    login, superuser, reads, writes, appends = await connection.fetchrow(_RIGHTS)
    if superuser or writes:
        return warning(
            f"{login} {'is a superuser' if superuser else 'may write past `append`'}",
            "let services log in as passbook_… (one login a service)",
        )
    if not reads:
        return failed(f"{login} may not read the log", "use a login that `passbook migrate` made")
    return fine(f"{login} reads the log{' and may append' if appends else ' and cannot change it'}")


async def environment(read_model: asyncpg.Connection, event_store: asyncpg.Connection) -> Verdict:
    """Say whether the read models were built from this event store."""
    here = await event_store.fetchval(_STORE)
    foreign = [
        projection
        for projection, built_from in await read_model.fetch(_BUILT_FROM)
        if built_from not in {None, here}
    ]
    if foreign:
        return failed(
            f"{', '.join(foreign)}: built from another event store than {here}",
            "use the read models that belong to it, or rebuild them",
        )
    return fine(f"environment {here}")


async def clock(connection: asyncpg.Connection) -> Verdict:
    """Say how far the clocks of this machine and of PostgreSQL are apart."""
    before = datetime.now(UTC)
    there = await connection.fetchval("SELECT clock_timestamp()")
    after = datetime.now(UTC)
    # Half the round trip is the part of the difference that cannot be told.
    difference_s = abs((there - (before + (after - before) / 2)).total_seconds())
    found = f"{difference_s * 1000:.0f} ms apart"
    if difference_s > _LARGEST_CLOCK_DIFFERENCE_S:
        return failed(found, "set both clocks by NTP")
    return fine(found)


async def positions(read_model: asyncpg.Connection, event_store: asyncpg.Connection) -> Verdict:
    """Say whether anybody claims to have seen events that the store does not have."""
    claims = [*await read_model.fetch(_POSITIONS), *await event_store.fetch(_PUBLISHED)]
    heads = dict(await event_store.fetch(_HEADS))
    ahead = sorted({f"{who} in slot {slot}" for who, slot, seq in claims if seq > heads[slot]})
    if ahead:
        return failed(
            f"ahead of the event store: {', '.join(ahead[:5])}",
            "the store was restored to the past: bring back its newest state, or rebuild the others",
        )
    return fine(f"{sum(heads.values())} events; nobody is ahead of them")


async def relay(connection: asyncpg.Connection) -> Verdict:
    """Say whether somebody publishes, and keeps up."""
    leaders = await relay_leaders(connection)
    backlog = await relay_backlog(connection)
    waiting = f"{backlog.events} events to publish"
    if not leaders.relays:
        trouble = failed if backlog.events else warning
        return trouble(
            f"no relay publishes, {waiting}",
            "start one: `passbook up`, or `passbook run outbox-relay`",
        )
    if leaders.missing:
        names = ", ".join(map(str, leaders.missing))
        return failed(
            f"nobody publishes group {names} of {leaders.groups}, {waiting}",
            "see that all relays have the same PASSBOOK_RELAY_GROUPS, and read their logs",
        )
    if backlog.seconds > _LARGEST_BACKLOG_S:
        return failed(f"{waiting}, the oldest for {backlog.seconds:.0f} s", "read the relay's log")
    leads = "one relay leads" if leaders.relays == 1 else f"{leaders.relays} relays lead"
    return fine(f"{leads}, {waiting}")
