"""PostgreSQL: versions, settings, schema, clocks, and positions that fit each other."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from passbook.cli.checks.finding import Verdict, failed, fine, warning
from passbook.eventstore.errors import StoreMismatch
from passbook.eventstore.preflight import identified
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
from passbook.projection.inline import InlineProjections, inline_projections
from passbook.projection.positions import Positions
from passbook.projection.protocol import Projection
from services.outbox_relay.queries import relay_backlog, relay_leaders

_LARGEST_BACKLOG_S: Final = 10.0

_HEADS: Final = "SELECT slot, head FROM eventstore.slots"
_POSITIONS: Final = "SELECT projection, slot, slot_seq FROM projections.positions"
_PUBLISHED: Final = "SELECT 'outbox relay', slot, published_seq FROM eventstore.relay_positions"


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


async def sessions(connection: asyncpg.Connection) -> Verdict:
    """Say whether PostgreSQL itself answers; the relay's locks need that."""
    await check_unpooled(connection)
    return fine("PostgreSQL itself answers")


async def slots(connection: asyncpg.Connection) -> Verdict:
    """Say whether accounts are dealt into slots as by this code."""
    return fine(f"environment {await identified(connection)}")


async def read_models(
    read_model: asyncpg.Connection, event_store: asyncpg.Connection, *projections: Projection
) -> Verdict:
    """Say whether the read models were built from this event store, by this code."""
    environment = await check_belonging(read_model, event_store)
    for projection in projections:
        positions = Positions(projection.name)
        await positions.check(read_model, UUID(environment), projection.version)
    return fine(f"environment {environment}")


async def read_model_server(connection: asyncpg.Connection) -> Verdict:
    """Say whether the server of the read models can be trusted to, where it is another one."""
    await check_durability(connection)
    return await version(connection)


async def inline(connection: asyncpg.Connection, names: Sequence[str]) -> Verdict:
    """Say whether the read models that appends are to keep are installed."""
    await InlineProjections(*inline_projections(names)).check(connection)
    return fine(f"appends keep {', '.join(names)}" if names else "appends keep no read model")


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
