"""PostgreSQL: versions, settings, schema, rights, clocks, and positions that fit each other."""

from typing import Final

import asyncpg

from passbook.cli.checks.finding import Verdict, failed, fine, warning
from passbook.eventstore.errors import StoreMismatch
from passbook.eventstore.rights import NEEDS, logins_of, missing_rights, too_much
from passbook.eventstore.server import (
    LARGEST_CLOCK_DIFFERENCE_S,
    OLDEST_POSTGRES,
    check_durability,
    check_guards,
    check_server,
    check_unpooled,
    check_writable,
    clock_difference_s,
)
from passbook.migrations import Migration, pending_migrations
from passbook.projection.belonging import check_belonging
from passbook.projection.protocol import Projection
from passbook.projection.rights import rights_of
from services.outbox_relay.queries import relay_backlog, relay_leaders

_LARGEST_BACKLOG_S: Final = 10.0

_HEADS: Final = "SELECT slot, head FROM eventstore.slots"
_POSITIONS: Final = "SELECT projection, slot, slot_seq FROM projections.positions"
_PUBLISHED: Final = "SELECT 'outbox relay', slot, published_seq FROM eventstore.relay_positions"
# What migration 0005 takes from PUBLIC, if who ran it could.
_EVERYBODYS: Final = """
SELECT 'create temporary tables' FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
 WHERE d.datname = current_database() AND a.grantee = 0 AND a.privilege_type = 'TEMPORARY'
UNION
SELECT 'create large objects' FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
 WHERE p.pronamespace = 'pg_catalog'::regnamespace AND a.grantee = 0
   AND p.proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_import', 'lo_export')
"""


async def version(connection: asyncpg.Connection) -> Verdict:
    """Say which PostgreSQL answers, and whether services can write to it."""
    await check_writable(connection)
    found = f"PostgreSQL {await connection.fetchval('SHOW server_version')}"
    try:
        await check_server(connection)
    except StoreMismatch as mismatch:
        return failed(f"{found}: {mismatch}", f"it has to be {OLDEST_POSTGRES} or newer, set up so")
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


async def guards(connection: asyncpg.Connection) -> Verdict:
    """Say whether changes to the log are refused."""
    await check_guards(connection)
    return fine("changes to the log are refused by its triggers")


async def rights(connection: asyncpg.Connection) -> Verdict:
    """Say what the login may do to the log, and whether it can do its service's work."""
    login = await connection.fetchval("SELECT current_user")
    reason = await too_much(connection)
    if reason:
        return warning(
            f"{login} could do too much: {reason}",
            "let services log in as passbook_… (one login a service)",
        )
    logins = await logins_of(connection)
    for one in logins or ["passbook_query_api"]:
        missing = await missing_rights(connection, NEEDS[one])
        if missing:
            return failed(
                f"{login} may not {', '.join(missing)}",
                "use a login that `passbook migrate` made, and give it its rights back",
            )
    appends = "passbook_command_service" in logins
    return fine(f"{login} reads the log{' and may append' if appends else ' and cannot change it'}")


async def everybodys_rights(connection: asyncpg.Connection) -> Verdict:
    """Say whether any login could fill the disk of the log."""
    found = [row[0] for row in await connection.fetch(_EVERYBODYS)]
    if found:
        return warning(
            f"every login may {' and '.join(sorted(found))}",
            "take that from PUBLIC as a superuser, as the migration `least_privilege` does",
        )
    return fine("no login may create temporary tables or large objects")


async def row_rights(connection: asyncpg.Connection, *projections: Projection) -> Verdict:
    """Say whether the login, where it is a projector's, can do the projector's work."""
    writes = []
    for projection in projections:
        if await connection.fetchval("SELECT pg_has_role($1::name, 'USAGE')", projection.writer):
            missing = await missing_rights(connection, rights_of(projection))
            if missing:
                return failed(
                    f"{projection.writer} may not {', '.join(missing)}",
                    "use a login that `passbook migrate` made, and give it its rights back",
                )
            writes.append(projection.name)
    return fine(f"writes {', '.join(writes)}" if writes else "writes to no read model")


async def sessions(connection: asyncpg.Connection) -> Verdict:
    """Say whether PostgreSQL itself answers; the relay's locks need that."""
    await check_unpooled(connection)
    return fine("PostgreSQL itself answers")


async def environment(read_model: asyncpg.Connection, event_store: asyncpg.Connection) -> Verdict:
    """Say whether the read models were built from this event store."""
    return fine(f"environment {await check_belonging(read_model, event_store)}")


async def clock(connection: asyncpg.Connection) -> Verdict:
    """Say how far the clocks of this machine and of PostgreSQL are apart."""
    difference_s = await clock_difference_s(connection)
    found = f"{difference_s * 1000:.0f} ms apart"
    if difference_s > LARGEST_CLOCK_DIFFERENCE_S:
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
