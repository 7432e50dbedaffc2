"""What the login of a projector has to be allowed to do in the database of the read models."""

from typing import Final

import asyncpg

from passbook.projection.protocol import Projection

_RUNTIME: Final = (
    "SELECT projections.installed",
    "UPDATE projections.installed",
    "SELECT projections.positions",
    "UPDATE projections.positions",
    "SELECT projections.parked",
)
_PARKS: Final = ("INSERT projections.parked", "UPDATE projections.parked")
_TABLES: Final = """
SELECT v.verb || ' ' || n.nspname || '.' || c.relname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
       unnest('{SELECT,INSERT}'::text[]) AS v(verb)
 WHERE n.nspname = $1 AND c.relkind = 'r' ORDER BY 1
"""


async def rights_of(connection: asyncpg.Connection, projection: Projection) -> list[str]:
    """Return what the login of `projection` does, as a verb and what it is done to."""
    tables = [row[0] for row in await connection.fetch(_TABLES, projection.schema)]
    return [*_RUNTIME, *(_PARKS if projection.parks else ()), *tables]
