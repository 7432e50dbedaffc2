"""Reading how far the relay is."""

from typing import Final, NamedTuple

import asyncpg

_BACKLOG: Final = """
SELECT coalesce(sum(s.head - coalesce(r.published_seq, 0)), 0)::bigint,
       coalesce(extract(epoch FROM clock_timestamp() - min(e.recorded_at)), 0)::float8
  FROM eventstore.slots s
  LEFT JOIN eventstore.relay_positions r USING (slot)
  LEFT JOIN eventstore.events e
    ON e.slot = s.slot AND e.slot_seq = coalesce(r.published_seq, 0) + 1
 WHERE s.head > coalesce(r.published_seq, 0)
"""


class Backlog(NamedTuple):
    """What is stored and not published: how many events, and the age of the oldest in seconds."""

    events: int
    seconds: float


async def relay_backlog(connection: asyncpg.Connection) -> Backlog:
    """Return the backlog as the relay last wrote it down, which it does once a second."""
    events, seconds = await connection.fetchrow(_BACKLOG)
    return Backlog(events, round(max(0.0, seconds), 3))
