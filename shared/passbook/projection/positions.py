"""The positions of one projection: a compare-and-set per slot, and the parked accounts."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import asyncpg

from passbook.eventstore.errors import StoreMismatch

_LOAD: Final = """
SELECT slot, slot_seq, generation FROM projections.positions WHERE projection = $1
"""
# Enters the schema on the way: a statement of its own would be one more round trip a batch.
_ADVANCE: Final = """
UPDATE projections.positions p SET slot_seq = n.slot_seq
  FROM unnest($2::smallint[], $3::bigint[], $4::bigint[], $5::integer[])
       AS n(slot, expected, slot_seq, generation), set_config('search_path', $6, true)
 WHERE p.projection = $1 AND p.slot = n.slot AND p.slot_seq = n.expected
   AND p.generation = n.generation
"""
_INSTALLED: Final = """
UPDATE projections.installed SET environment_id = coalesce(environment_id, $2)
 WHERE projection = $1 RETURNING environment_id, version
"""
_BOUND: Final = "SELECT environment_id, version FROM projections.installed WHERE projection = $1"
_PARKED: Final = "SELECT account_id FROM projections.parked WHERE projection = $1"
_PARK: Final = """
INSERT INTO projections.parked (projection, account_id, slot, slot_seq, reason, events)
VALUES ($1, $2, $3, $4, $5, $6)
"""
_COUNT: Final = """
UPDATE projections.parked p SET events = p.events + n.events
  FROM unnest($2::uuid[], $3::bigint[]) AS n(account_id, events)
 WHERE p.projection = $1 AND p.account_id = n.account_id
"""


class Fenced(Exception):
    """Another instance has moved a slot on, or somebody replaced its rows, since this one looked."""


class Positions:
    """Reads and moves the positions of one projection."""

    def __init__(self, projection: str) -> None:
        """Name the projection."""
        self._projection = projection
        self._generations: dict[int, int] = {}

    async def claim(
        self, connection: asyncpg.Connection, environment_id: UUID, version: int
    ) -> None:
        """Bind the projection to an event store at its first run, compare at every other.

        Raises:
            StoreMismatch: it was built from another event store, or by other code.
        """
        row = await connection.fetchrow(_INSTALLED, self._projection, environment_id)
        self._compare(row, environment_id, version)

    async def check(
        self, connection: asyncpg.Connection, environment_id: UUID, version: int
    ) -> None:
        """Return if `claim` would, changing nothing.

        Raises:
            StoreMismatch: see `claim`.
        """
        row = await connection.fetchrow(_BOUND, self._projection)
        self._compare(row, environment_id, version)

    def _compare(self, row: asyncpg.Record | None, environment_id: UUID, version: int) -> None:
        if row is None or row["version"] != version:
            message = f"projection {self._projection} {version} is not installed; migrate"
            raise StoreMismatch(message)
        if row["environment_id"] not in {None, environment_id}:  # None: nobody has claimed it
            message = (
                f"projection {self._projection} was built from event store {row['environment_id']}, "
                f"this one is {environment_id}: use the read models that belong to it"
            )
            raise StoreMismatch(message)

    async def load(self, connection: asyncpg.Connection) -> dict[int, int]:
        """Return slot → number of the last applied event."""
        rows = await connection.fetch(_LOAD, self._projection)
        self._generations = {slot: generation for slot, _, generation in rows}
        return {slot: slot_seq for slot, slot_seq, _ in rows}

    async def advance(
        self,
        connection: asyncpg.Connection,
        expected: Mapping[int, int],
        new: Mapping[int, int],
        schema: str,
    ) -> None:
        """Move slots from `expected` to `new`; the rest of the transaction finds the projection's
        tables in `schema`.

        Raises:
            Fenced: one of them is elsewhere, or its rows have been replaced since `load`; roll back.
        """
        slots = sorted(new)
        status = await connection.execute(
            _ADVANCE,
            self._projection,
            slots,
            [expected[slot] for slot in slots],
            [new[slot] for slot in slots],
            [self._generations[slot] for slot in slots],
            schema,
        )
        if status != f"UPDATE {len(slots)}":
            raise Fenced

    async def parked(self, connection: asyncpg.Connection) -> set[str]:
        """Return the ids of the parked accounts, as text."""
        return {str(row[0]) for row in await connection.fetch(_PARKED, self._projection)}

    async def park(  # noqa: PLR0913 - the row has this many facts
        self,
        connection: asyncpg.Connection,
        account_id: str,
        slot: int,
        slot_seq: int,
        reason: str,
        events: int,
    ) -> None:
        """Remember that an account is left out from `slot_seq` on, and why."""
        await connection.execute(
            _PARK, self._projection, UUID(account_id), slot, slot_seq, reason, events
        )

    async def count(
        self, connection: asyncpg.Connection, account_ids: Sequence[str], events: Sequence[int]
    ) -> None:
        """Count further events of parked accounts."""
        await connection.execute(
            _COUNT, self._projection, [UUID(account) for account in account_ids], events
        )
