"""Reading the store as it was: what had been recorded at a moment, and when a version was."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import asyncpg

from passbook.domain.slots import slot_of
from passbook.eventstore.store import RecordedEvent

_SETTLED: Final = "SELECT clock_timestamp() FROM eventstore.settled($1)"
_UNTIL: Final = """
SELECT slot, slot_seq, stream_id, version, event_id, event_type, schema_version, data, metadata,
       occurred_at, recorded_at
  FROM eventstore.events WHERE stream_id = $1 AND recorded_at <= $2 ORDER BY version
"""
_RECORDED: Final = """
SELECT e.stream_id, e.recorded_at FROM unnest($1::uuid[], $2::integer[]) AS w(stream_id, version)
  JOIN eventstore.events e USING (stream_id, version)
"""


class MomentNotPast(ValueError):
    """A moment that the store's clock has not reached has no answer that would stay the same."""

    def __init__(self, moment: datetime, now: datetime) -> None:
        super().__init__(
            f"{moment.isoformat()} is in the future: the event store's clock says "
            f"{now.astimezone(UTC).isoformat()}"
        )
        self.moment = moment
        self.now = now


async def recorded_until(
    connection: asyncpg.Pool | asyncpg.Connection, account_id: UUID, moment: datetime
) -> list[RecordedEvent]:
    """Return what had been recorded of an account by a moment, an aware time, oldest first.

    The same question gets the same answer for ever: the slot's lock is waited for, so that every
    append in flight is seen, and whatever is appended later gets a later time.

    Raises:
        MomentNotPast: ask when it has come.
    """
    # A statement of its own: the next one's snapshot is taken when the lock has been had.
    now = await connection.fetchval(_SETTLED, slot_of(account_id))
    if moment >= now:
        raise MomentNotPast(moment, now)
    rows = await connection.fetch(_UNTIL, account_id, moment)
    return [RecordedEvent._make(row) for row in rows]


async def recording_times(
    connection: asyncpg.Pool | asyncpg.Connection, versions: Mapping[UUID, int]
) -> dict[UUID, datetime]:
    """Return account → when the version named for it was recorded; unknown ones are missing."""
    return dict(await connection.fetch(_RECORDED, tuple(versions), tuple(versions.values())))
