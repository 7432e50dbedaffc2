"""What a run of archiving takes: prefixes of slots, or closed accounts; and who must have had it.

The newest event of a slot always stays: whoever reads a slot to its end sees that nothing is behind
it. Of an account that was closed by that very event, all but the closing is archived.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from passbook.eventstore.archive.records import Fetch
from passbook.eventstore.errors import ArchiveRefused
from passbook.eventstore.store import RecordedEvent

_PREFIX: Final = """
SELECT e.stream_id, max(e.version), max(e.recorded_at), max(e.slot_seq) FROM eventstore.events e
  JOIN eventstore.slots s USING (slot)
 WHERE e.slot = $1 AND e.slot_seq < s.head AND e.slot_seq <= (
       SELECT max(o.slot_seq) FROM eventstore.events o WHERE o.slot = $1 AND o.recorded_at < $2)
 GROUP BY e.stream_id
"""
_CLOSED: Final = """
SELECT e.stream_id, e.version, e.recorded_at, e.slot_seq FROM eventstore.events c
  JOIN eventstore.slots s USING (slot)
  JOIN eventstore.events e ON e.stream_id = c.stream_id
                          AND e.version = c.version - (c.slot_seq = s.head)::integer
 WHERE c.slot = $1 AND c.event_type = 'AccountClosed'
"""
_ROWS: Final = """
SELECT slot, slot_seq, stream_id, version, event_id, event_type, schema_version, data, metadata,
       occurred_at, recorded_at
  FROM eventstore.events
 WHERE slot = $1 AND slot_seq > $2 AND slot_seq <= $3 AND stream_id = ANY ($4)
 ORDER BY slot_seq LIMIT $5
"""
_PUBLISHED: Final = """
SELECT 'outbox-relay', slot, published_seq FROM eventstore.relay_positions WHERE slot = ANY ($1)
"""
# Copies of a read model that a rebuild makes or keeps are read from the log, wherever it is.
_APPLIED: Final = """
SELECT projection, slot, slot_seq FROM projections.positions
  JOIN projections.installed USING (projection)
 WHERE copy_of IS NULL AND slot = ANY ($1)
"""


PAGE_SIZE: Final = 4096
"""Events of the table that are in memory together."""


class Choice(NamedTuple):
    """What is to be archived: what was recorded before a moment, or (None) closed accounts."""

    before: datetime | None

    @property
    def described(self) -> Mapping[str, str]:
        """The choice as a manifest says it."""
        return {"before": self.before.isoformat()} if self.before else {"closed": "true"}


class Portion(NamedTuple):
    """What is taken of a slot, up to the number `end`: of each stream everything up to a version,
    which was recorded then.
    """

    slot: int
    end: int
    versions: Mapping[UUID, int]
    recorded_at: Mapping[UUID, datetime]


async def portion(fetch: Fetch, slot: int, choice: Choice) -> Portion:
    """Return what there is to take of a slot; it may have no streams."""
    if choice.before is None:
        rows = await fetch(_CLOSED, slot)
    else:
        rows = await fetch(_PREFIX, slot, choice.before)
    end = max((slot_seq for _, _, _, slot_seq in rows), default=0)
    versions = {stream_id: version for stream_id, version, _, _ in rows}
    return Portion(slot, end, versions, {stream_id: moment for stream_id, _, moment, _ in rows})


async def pages(fetch: Fetch, wanted: Portion) -> AsyncIterator[list[RecordedEvent]]:
    """Yield the events of a portion that are in the table, in order."""
    streams, after = tuple(wanted.versions), 0
    while rows := await fetch(_ROWS, wanted.slot, after, wanted.end, streams, PAGE_SIZE):
        events = [RecordedEvent._make(row) for row in rows]
        after = events[-1].slot_seq
        if taken := [one for one in events if one.version <= wanted.versions[one.stream_id]]:
            yield taken


async def check_covered(
    events: asyncpg.Connection, rows: asyncpg.Pool, ends: Mapping[int, int]
) -> None:
    """Return if the relay and every projection have had each slot up to its number in `ends`.

    Raises:
        ArchiveRefused: naming who has not.
    """
    slots = list(ends)
    reached: dict[str, dict[int, int]] = {"outbox-relay": {}}
    found: Sequence[tuple[str, int, int]] = [
        *await events.fetch(_PUBLISHED, slots),
        *await rows.fetch(_APPLIED, slots),
    ]
    for who, slot, number in found:
        reached.setdefault(who, {})[slot] = number
    behind = []
    for who, numbers in reached.items():
        late = [slot for slot, end in ends.items() if numbers.get(slot, 0) < end]
        if late:
            slot = late[0]
            behind.append(f"{who} is at {numbers.get(slot, 0):,} of {ends[slot]:,} in slot {slot}")
    if behind:
        message = f"{'; '.join(behind)}: run it until it is current, then archive"
        raise ArchiveRefused(message)
