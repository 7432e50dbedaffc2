"""Reading how far the relays are, and who of them leads."""

from collections import Counter
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
# A session lock of two integers: classid is the first one, read as unsigned, objsubid is 2.
# Source: PostgreSQL 18, section 53.13 (pg_locks).
_LEADERS: Final = """
SELECT objid::bigint, pid FROM pg_locks
 WHERE locktype = 'advisory' AND objsubid = 2 AND granted
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND classid::bigint = hashtext('passbook outbox relay')::bigint & 4294967295
"""


class Backlog(NamedTuple):
    """What is stored and not published: how many events, and the age of the oldest in seconds."""

    events: int
    seconds: float


async def relay_backlog(connection: asyncpg.Connection) -> Backlog:
    """Return the backlog as the relay last wrote it down, which it does once a second."""
    events, seconds = await connection.fetchrow(_BACKLOG)
    return Backlog(events, round(max(0.0, seconds), 3))


class Leaders(NamedTuple):
    """How many relays lead, in how many groups the slots are dealt, and which groups nobody leads."""

    relays: int
    groups: int
    missing: tuple[int, ...]


async def relay_leaders(connection: asyncpg.Connection) -> Leaders:
    """Return who leads, as their locks say. While relays with different numbers of groups run, the
    most complete of these counts: it publishes everything that is ever published.
    """
    rows = await connection.fetch(_LEADERS)
    held = {_group_of(lock) for lock, _ in rows}
    led = Counter(groups for groups, _ in held)
    groups = max(led, key=lambda of: (led[of] / of, of), default=1)
    missing = tuple(group for group in range(groups) if (groups, group) not in held)
    return Leaders(len({pid for _, pid in rows}), groups, missing)


def lock_of(group: int, groups: int) -> int:
    """Return the second integer of a group's lock: another one for every number of groups, a power
    of two, and 0 where there is only one.
    """
    return groups - 1 + group


def _group_of(lock: int) -> tuple[int, int]:
    groups = 1 << (lock + 1).bit_length() - 1
    return groups, lock + 1 - groups
