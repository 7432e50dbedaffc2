"""How far the installed projections are, measured against the log."""

from dataclasses import asdict, dataclass
from typing import Final

import asyncpg

# Copies are no read models of their own: one that is being built is far behind and lags nobody, a
# former one stands still.
_POSITIONS: Final = """
SELECT i.projection, i.version, p.slot, p.slot_seq,
       (SELECT count(*) FROM projections.parked k WHERE k.projection = i.projection) AS parked,
       (SELECT coalesce(array_agg(c.projection ORDER BY c.projection), '{}')
          FROM projections.installed c WHERE c.copy_of = i.projection) AS copies
  FROM projections.installed i JOIN projections.positions p USING (projection)
 WHERE i.copy_of IS NULL
 ORDER BY i.projection, p.slot
"""
_INSTALLED: Final = "SELECT projection FROM projections.installed WHERE copy_of IS NULL"
_HEADS: Final = "SELECT slot, head FROM eventstore.slots"
_OLDEST: Final = """
SELECT extract(epoch FROM clock_timestamp() - min(e.recorded_at))::float8
  FROM unnest($1::smallint[], $2::bigint[]) AS p(slot, slot_seq)
  JOIN eventstore.events e USING (slot, slot_seq)
"""


@dataclass(slots=True)
class ProjectionLag:
    """One projection. `seconds_behind` is the age of the oldest event that it has not applied, 0
    when there is none; `parked` counts accounts; `positions` is slot → last applied number;
    `copies` are what a rebuild has left beside it: `…_next` unfinished, `…_old` to go back to.
    """

    name: str
    version: int
    events_behind: int
    seconds_behind: float
    parked: int
    positions: dict[int, int]
    copies: list[str]

    def to_dict(self) -> dict[str, object]:
        """Return the document of `passbook projection list --json`."""
        return asdict(self) | {"positions": {str(slot): at for slot, at in self.positions.items()}}


async def projection_lags(
    read_model: asyncpg.Pool | asyncpg.Connection, event_store: asyncpg.Pool | asyncpg.Connection
) -> list[ProjectionLag]:
    """Return every installed projection, by name. The connections may be on one database or two."""
    found: dict[str, ProjectionLag] = {}
    for name, version, slot, slot_seq, parked, copies in await read_model.fetch(_POSITIONS):
        lag = found.setdefault(name, ProjectionLag(name, version, 0, 0.0, parked, {}, copies))
        lag.positions[slot] = slot_seq
    # Heads are read after the positions, so that a busy ledger never looks ahead of itself.
    heads = dict(await event_store.fetch(_HEADS))
    for lag in found.values():
        behind = {slot: at for slot, at in lag.positions.items() if at < heads[slot]}
        lag.events_behind = sum(heads[slot] - at for slot, at in behind.items())
        if behind:
            following = [at + 1 for at in behind.values()]
            age_s = await event_store.fetchval(_OLDEST, tuple(behind), following)
            lag.seconds_behind = round(max(0.0, age_s or 0.0), 3)
    return list(found.values())


async def installed(read_model: asyncpg.Pool | asyncpg.Connection) -> set[str]:
    """Return the names of the projections that this database has."""
    return {row["projection"] for row in await read_model.fetch(_INSTALLED)}
