"""Copies of a projection in the database of the read models: made, found again, compared, swapped."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from passbook.projection.beside import Beside, Role
from passbook.projection.errors import AnotherRebuild
from passbook.projection.positions import Fenced
from passbook.projection.protocol import Projection, create_tables

MOST_DIFFERENCES: Final = 100
"""How many differing rows of a table are told one by one; all are counted."""

# One at a time for a projection, whoever asks; the lock goes with the session, also after kill -9,
# which a server that is still busy with a statement notices only after it.
_LOCK: Final = """
SELECT set_config('lock_timeout', '10s', false),
       pg_advisory_lock(hashtext('passbook projection rebuild'), hashtext($1)),
       set_config('lock_timeout', '0', false)
"""
_UNLOCK: Final = """
SELECT pg_advisory_unlock(hashtext('passbook projection rebuild'), hashtext($1))
"""
_KNOWN: Final = """
SELECT FROM projections.installed
 WHERE projection = $1 AND version = $2 AND environment_id = $3
   AND EXISTS (SELECT FROM pg_namespace WHERE nspname = $4)
"""
_DROP: Final = "SELECT projections.drop_copy($1, $2)"
_INSTALL: Final = """
INSERT INTO projections.installed (projection, version, environment_id, copy_of)
VALUES ($1, $2, $3, $4)
"""
_POSITIONS: Final = """
INSERT INTO projections.positions (projection, slot)
SELECT $1, slot FROM projections.positions WHERE projection = $2
"""
_LIVE: Final = "SELECT slot, slot_seq FROM projections.positions WHERE projection = $1"
_COUNT: Final = "SELECT live, rebuilt, accounts FROM projections.count_rows($1, $2)"
_DIFFERENCES: Final = """
SELECT table_name, total, live, rebuilt FROM projections.differences($1, $2, $3)
"""
_PARKED: Final = """
SELECT account_id::text FROM projections.parked WHERE projection IN ($1, $2)
"""
_GRANT: Final = "SELECT projections.grant_alike($1, $2)"
_ANALYZE: Final = "SELECT projections.analyze_copy($1)"
_SWAP: Final = "SELECT projections.swap($1, $2, $3, $4, $5, $6)"


class Difference(NamedTuple):
    """A row that differs, as text by column; None where there is none. `parked`: its account is
    left out of the live rows or of the rebuilt ones, which explains it.
    """

    table: str
    live: Mapping[str, str | None] | None
    rebuilt: Mapping[str, str | None] | None
    parked: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the difference ready for JSON; `account_id` is that of the row."""
        row = self.rebuilt or self.live or {}
        return {"account_id": row.get("account_id")} | self._asdict()


class Comparison(NamedTuple):
    """What is different: all of it counted, the first ones told. `rows` are those of the copy,
    which are about so many `accounts`, `live_rows` those it was compared with.
    """

    accounts: int
    rows: int
    live_rows: int
    differing: int
    differences: tuple[Difference, ...]


@asynccontextmanager
async def alone(rows: asyncpg.Pool, projection: Projection) -> AsyncIterator[asyncpg.Connection]:
    """Be the only one who rebuilds this projection, for as long as the block.

    Raises:
        AnotherRebuild: one is under way.
    """
    async with rows.acquire() as connection:
        try:
            await connection.execute(_LOCK, projection.name)
        except asyncpg.LockNotAvailableError as error:
            message = (
                f"another rebuild, rollback or verification of {projection.name} is under way: "
                "wait for its end, or stop it"
            )
            raise AnotherRebuild(message) from error
        try:
            yield connection
        except Fenced as error:
            message = f"somebody else works on the copy of {projection.name}: try again"
            raise AnotherRebuild(message) from error
        finally:
            if not connection.is_closed():
                await connection.execute(_UNLOCK, projection.name)


async def is_there(connection: asyncpg.Connection, copy: Beside, environment_id: UUID) -> bool:
    """Tell whether there is a copy that this code made from this event store."""
    found = await connection.fetchrow(_KNOWN, copy.name, copy.version, environment_id, copy.schema)
    return found is not None


async def make(
    connection: asyncpg.Connection, projection: Projection, role: Role, environment_id: UUID
) -> None:
    """Make an empty copy, in the place of one that may be there."""
    copy = Beside(projection, role)
    async with connection.transaction():
        await drop(connection, copy)
        await connection.execute(_INSTALL, copy.name, copy.version, environment_id, projection.name)
        await connection.execute(_POSITIONS, copy.name, projection.name)
        await connection.execute(create_tables(copy, copy.schema))


async def drop(connection: asyncpg.Connection, copy: Beside) -> None:
    """Remove a copy, if it is there."""
    await connection.execute(_DROP, copy.name, copy.schema)


async def live_positions(connection: asyncpg.Connection, projection: Projection) -> dict[int, int]:
    """Return slot → number of the last event that the live projection has applied."""
    return dict(await connection.fetch(_LIVE, projection.name))


async def compare(
    connection: asyncpg.Connection, projection: Projection, copy: Beside
) -> Comparison:
    """Compare all rows of the live projection with those of a copy, as this transaction sees them."""
    counts = await connection.fetch(_COUNT, projection.schema, copy.schema)
    parked = {row[0] for row in await connection.fetch(_PARKED, projection.name, copy.name)}
    found = await connection.fetch(_DIFFERENCES, projection.schema, copy.schema, MOST_DIFFERENCES)
    differences = []
    for table, _, *sides in found:
        live, rebuilt = (side and orjson.loads(side) for side in sides)
        account_id = (rebuilt or live).get("account_id")
        differences.append(Difference(table, live, rebuilt, account_id in parked))
    return Comparison(
        accounts=max((row["accounts"] for row in counts), default=0),
        rows=sum(row["rebuilt"] for row in counts),
        live_rows=sum(row["live"] for row in counts),
        differing=sum({table: total for table, total, *_ in found}.values()),
        differences=tuple(differences[:MOST_DIFFERENCES]),
    )


async def analyze(connection: asyncpg.Connection, copy: Beside) -> None:
    """Let the planner know the rows of a copy."""
    await connection.execute(_ANALYZE, copy.schema)


async def put_in_place(
    connection: asyncpg.Connection, projection: Projection, copy: Beside
) -> None:
    """Put a copy in the place of the live projection, which is kept as the old one; an older one is
    dropped. The live positions are locked, and those of the copy are the same.
    """
    old = Beside(projection, Role.OLD)
    await connection.execute(_GRANT, projection.schema, copy.schema)
    await connection.execute(
        _SWAP, projection.name, copy.name, old.name, projection.schema, copy.schema, old.schema
    )
