"""Bringing archives back: the newest first, each in one transaction, after which it is off the record.

The files are removed last. A restore that ends before that leaves them behind; they are on record no
more, and the next run removes them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from passbook.eventstore.archive.files import Archive
from passbook.eventstore.archive.lock import alone
from passbook.eventstore.archive.records import (
    PATIENCE,
    ArchiveRecord,
    Segment,
    all_segments,
    archives,
    segments_of,
)
from passbook.eventstore.archive.segments import GROUP_SIZE
from passbook.eventstore.errors import ArchiveRefused
from passbook.eventstore.store import RecordedEvent

_TIMEOUT_S: Final = 3600.0

_RESTORE: Final = """
SELECT eventstore.restore_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""
_UNARCHIVE: Final = "SELECT eventstore.unarchive($1, $2, $3, $4)"


class Restored(NamedTuple):
    """How many events are in the table again, and the numbers of the manifests they were in."""

    events: int
    manifests: tuple[int, ...]


async def restore_archives(
    owner: asyncpg.Pool,
    archive: Archive,
    down_to: int | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Restored:
    """Put the events of all archives, or of those from the newest down to one, back into the table.

    Raises:
        AnotherArchiving: one is under way.
        ArchiveRefused: there is no archive with this number.
        ArchiveUnreadable: a file is missing or was changed; the archives above it are back.
    """
    async with alone(owner) as connection:
        known = await archives(connection.fetch)
        if down_to is not None and down_to not in {one.number for one in known}:
            message = f"there is no manifest {down_to}: see `passbook archive list`"
            raise ArchiveRefused(message)
        chosen = [one for one in reversed(known) if one.number >= (down_to or 1)]
        segments = await all_segments(connection.fetch)
        total = sum(one.events for one in segments if one.archive >= (down_to or 1))
        done = 0

        def count(events: int) -> None:
            nonlocal done
            done += events
            on_progress(done, total)

        for one in chosen:
            parts = [segment for segment in segments if segment.archive == one.number]
            async with connection.transaction():
                await connection.execute(PATIENCE)
                await _restore(connection, archive, one, parts, count)
            for name in [segment.file for segment in parts] + [one.file]:
                (archive.directory / name).unlink(missing_ok=True)
        return Restored(done, tuple(one.number for one in chosen))


async def _restore(
    connection: asyncpg.Connection,
    archive: Archive,
    record: ArchiveRecord,
    segments: Sequence[Segment],
    on_progress: Callable[[int], None],
) -> None:
    firsts: dict[UUID, RecordedEvent] = {}
    for segment in segments:
        numbers = archive.numbers(segment)
        for start in range(0, len(numbers), GROUP_SIZE):
            some = numbers[start : start + GROUP_SIZE]
            events = archive.between(segment, some[0], some[-1])
            await connection.execute(_RESTORE, *zip(*events, strict=True), timeout=_TIMEOUT_S)
            for event in events:
                firsts.setdefault(event.stream_id, event)
            on_progress(len(events))
    times = await _times(connection, archive, firsts.values())
    remaining = [
        (stream_id, first.version - 1, times.get(stream_id)) for stream_id, first in firsts.items()
    ]
    columns = zip(*remaining, strict=True)
    await connection.execute(_UNARCHIVE, record.number, *columns, timeout=_TIMEOUT_S)


async def _times(
    connection: asyncpg.Connection, archive: Archive, firsts: Iterable[RecordedEvent]
) -> dict[UUID, datetime]:
    """Return stream → when the version before its first one here was recorded; that is archived."""
    slots: dict[int, dict[UUID, int]] = defaultdict(dict)
    for first in firsts:
        if first.version > 1:
            slots[first.slot][first.stream_id] = first.version - 1
    times = {}
    for slot, versions in slots.items():
        for segment in await segments_of(connection.fetch, slot):
            for event in archive.of_streams(segment, tuple(versions)):
                if event.version == versions[event.stream_id]:
                    times[event.stream_id] = event.recorded_at
    return times
