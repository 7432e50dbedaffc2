"""Inline projections: the rows change in the very transaction that appends the events.

store = PostgresEventStore(pool, inline=InlineProjections(*inline_projections(["balance"])))

For reads that must never be behind, at the price of a slower append (`passbook bench inline`). The
projection is the same class that a projector runs, under a name, schema and writer of its own, in
the database of the event store. Once it is installed, an append without it is refused.
"""

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Final

import asyncpg

from passbook.domain.errors import UnknownEventType, UnknownSchemaVersion
from passbook.eventstore.errors import EventStoreError, StoreMismatch, StoreUnavailable
from passbook.eventstore.pool import FAILURES, lent, said
from passbook.eventstore.preflight import check_migrated
from passbook.eventstore.store import EventStore, RecordedEvent
from passbook.migrations import apply_migrations, pending_migrations
from passbook.projection.parking import MISFITS
from passbook.projection.positions import Fenced, Positions
from passbook.projection.protocol import Projection, ProjectionStopped, projection_migrations
from passbook.projection.recorded import from_recorded

_PORTION: Final = 200
"""Events of each slot that are folded in one transaction while a projection is installed."""
# The slots are locked by the append, and nothing is remembered about the rows: whoever replaces them
# (their generation counts that) need not be noticed. Enters the schema on the way.
_ADVANCE: Final = """
UPDATE projections.positions p SET slot_seq = n.slot_seq
  FROM unnest($2::smallint[], $3::bigint[], $4::bigint[]) AS n(slot, expected, slot_seq),
       set_config('search_path', $5, true)
 WHERE p.projection = $1 AND p.slot = n.slot AND p.slot_seq = n.expected
"""
_CHECK_TIMEOUT_S: Final = 10.0
_LOCK_OUT: Final = "LOCK TABLE eventstore.slots IN SHARE ROW EXCLUSIVE MODE"
_BOUNDED: Final = "SET LOCAL lock_timeout = '10s'"
_GUARDED: Final = """
SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'eventstore.slots'::regclass AND tgname = $1)
"""
_BIND: Final = """
UPDATE projections.installed
   SET environment_id = (SELECT environment_id FROM eventstore.store_info) WHERE projection = $1
"""
_GUARD: Final = "SELECT projections.guard_inline($1, $2)"
_DROP_COPIES: Final = """
SELECT projections.drop_copy($1 || '_' || role, $2 || '_' || role)
  FROM unnest('{next,old,check}'::text[]) AS role
"""
_REMOVE: Final = "SELECT projections.remove_inline($1, $2)"


class InlineRefused(ProjectionStopped, EventStoreError):
    """An inline projection could not take the events, so nothing was appended."""

    def __init__(self, projection: str, reason: str) -> None:
        super().__init__(f"nothing was appended: inline projection {projection}: {reason}")
        self.projection = projection


class InlineProjections:
    """An `InlineHook`: applies what an append has recorded, and moves the positions with it."""

    def __init__(self, *projections: Projection) -> None:
        """Take installed projections; see `install_inline`."""
        self._projections = projections

    async def check(self, connection: asyncpg.Connection) -> None:
        """Return if all of them are installed, in the version of this code.

        Raises:
            StoreMismatch: with what to do about it.
        """
        for projection in self._projections:
            await check_migrated(connection, projection_migrations(projection))
            if not await connection.fetchval(_GUARDED, _guard(projection)):
                message = f"inline projection {projection.name} is only half installed: run `passbook migrate`"
                raise StoreMismatch(message)

    async def __call__(
        self, connection: asyncpg.Connection, recorded: Sequence[RecordedEvent]
    ) -> None:
        """Apply the events that the transaction of `connection` has appended.

        Raises:
            InlineRefused: they do not fit, or the positions are not where they begin.
        """
        events = [from_recorded(event) for event in recorded]
        reached = {event.slot: event.slot_seq for event in recorded}
        expected = {event.slot: event.slot_seq - 1 for event in reversed(recorded)}
        slots = sorted(reached)
        numbers = [expected[slot] for slot in slots], [reached[slot] for slot in slots]
        for projection in self._projections:
            name = projection.name
            try:
                moved = await connection.execute(_ADVANCE, name, slots, *numbers, projection.schema)
                if moved != f"UPDATE {len(slots)}":
                    raise InlineRefused(name, "it is not where these events begin: install it anew")
                await projection.apply(connection, events)
            except (*MISFITS, UnknownEventType, UnknownSchemaVersion) as error:
                raise InlineRefused(name, said(error)) from error


async def inline_hook(pool: asyncpg.Pool, names: Sequence[str]) -> InlineProjections | None:
    """Return what a store has to be given for the inline projections of these names; None without
    any.

    Raises:
        StoreMismatch: one does not exist, or is not installed: run `passbook migrate`.
        StoreUnavailable: the database does not answer.
    """
    if not names:
        return None
    hook = InlineProjections(*inline_projections(names))
    try:
        async with lent(pool, _CHECK_TIMEOUT_S) as connection:
            await hook.check(connection)
    except FAILURES as error:
        raise StoreUnavailable(said(error)) from error
    return hook


async def install_inline(
    connection: asyncpg.Connection, store: EventStore, projection: Projection
) -> int:
    """Make a projection inline; return how many events it was brought up to date with.

    The log is folded while others append. Only for the last few events appends wait, and from then
    on they are refused without the projection. Run it again after it was cut off; once installed,
    it does nothing. `connection` owns the schema.

    Raises:
        InlineRefused: the events of the log do not fit; nothing is appended differently yet.
    """
    scripts = projection_migrations(projection)
    if await pending_migrations(connection, scripts):
        await apply_migrations(connection, scripts)
    if await connection.fetchval(_GUARDED, _guard(projection)):
        return 0
    folding = _Folding(connection, store, projection)
    await folding.reach(await store.heads())
    async with connection.transaction():
        await connection.execute(_BOUNDED)
        await connection.execute(_LOCK_OUT)
        await folding.reach(await store.heads())
        await connection.execute(_BIND, projection.name)
        await connection.execute(_GUARD, projection.name, projection.writer)
    return folding.events


async def remove_inline(connection: asyncpg.Connection, projection: Projection) -> None:
    """Drop an inline projection and its rows: appends go without it again. Its appenders have to be
    stopped or started without it.
    """
    async with connection.transaction():
        await connection.execute(_DROP_COPIES, projection.name, projection.schema)
        await connection.execute(_REMOVE, projection.name, projection.schema)


class _Folding:
    """Brings an inline projection that is not guarded yet up to date."""

    def __init__(
        self, connection: asyncpg.Connection, store: EventStore, projection: Projection
    ) -> None:
        self._connection = connection
        self._store = store
        self._projection = projection
        self._positions = Positions(projection.name)
        self.events = 0

    async def reach(self, heads: dict[int, int]) -> None:
        at = await self._positions.load(self._connection)
        while any(at[slot] < head for slot, head in heads.items()):
            behind = {slot: at[slot] for slot, head in heads.items() if at[slot] < head}
            recorded = await self._store.read_log(behind, _PORTION)
            if not recorded:
                raise InlineRefused(self._projection.name, "the log ends before its heads")
            reached = {event.slot: event.slot_seq for event in recorded}
            try:
                async with self._connection.transaction():
                    await self._positions.advance(
                        self._connection, at, reached, self._projection.schema
                    )
                    await self._projection.apply(
                        self._connection, [from_recorded(event) for event in recorded]
                    )
            except (*MISFITS, UnknownEventType, UnknownSchemaVersion, Fenced) as error:
                reason = str(error) or "another installation is under way"
                raise InlineRefused(self._projection.name, reason) from error
            at |= reached
            self.events += len(recorded)


def inline_projections(names: Iterable[str]) -> list[Projection]:
    """Return the inline form of the projectors' projections: "balance" is `inline()` of the module
    `services.balance_projector.projection`. Found by name, since services do not know each other.

    Raises:
        StoreMismatch: there is none of that name.
    """
    found: list[Projection] = []
    for name in names:
        try:
            found.append(import_module(f"services.{name}_projector.projection").inline())
        except (ImportError, AttributeError) as error:
            message = f"PASSBOOK_INLINE_PROJECTIONS: {name} has no inline form"
            raise StoreMismatch(message) from error
    return found


def _guard(projection: Projection) -> str:
    return f"{projection.name}_is_current"
