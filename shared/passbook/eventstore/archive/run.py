"""Archiving: events leave the table when files have them, and only then.

    plan      what leaves, slot by slot, and whether relay and projections have had it
    write     one segment a slot, on disk before it gets its name; read again, compared with the rows
    manifest  names the segments and the manifest before it
    snapshots every account keeps a state at or above what leaves, compared with a replay
    remove    one transaction puts everything on record and deletes the rows

Up to the last step nothing has changed but files that are not on record; a run that ends before it,
in whatever way, is repeated from the beginning and removes them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from passbook.domain.slots import SLOT_COUNT
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.archive.lock import alone
from passbook.eventstore.archive.manifests import Manifest, clear_leftovers, segment_name
from passbook.eventstore.archive.planning import Choice, Portion, check_covered, pages, portion
from passbook.eventstore.archive.records import ArchiveRecord, Segment, archives
from passbook.eventstore.archive.segments import digest, write_segment
from passbook.eventstore.archive.states import have_snapshots
from passbook.eventstore.errors import ArchiveUnreadable
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.snapshots_postgres import PostgresSnapshotStore
from passbook.eventstore.store import RecordedEvent

_REMOVAL_TIMEOUT_S: Final = 3600.0

_ENVIRONMENT: Final = "SELECT environment_id FROM eventstore.store_info"
_ARCHIVE: Final = """
SELECT eventstore.archive($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
"""


class Archived(NamedTuple):
    """What a run has moved. `manifest` is None when there was nothing to move."""

    events: int
    streams: int
    segments: int
    bytes: int
    manifest: int | None


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told what a run does: `step` its stages, `progress` (done, of how many) accounts."""

    step: Callable[[str], None] = lambda _text: None
    progress: Callable[[int, int], None] = lambda _done, _total: None


_UNWATCHED: Final = Watch()


async def run_archive(
    owner: asyncpg.Pool,
    read_model: asyncpg.Pool,
    archive: Archive,
    choice: Choice,
    watch: Watch = _UNWATCHED,
) -> Archived:
    """Move what is chosen from the table into the archive.

    `owner` is a login that owns the event store, `read_model` one that sees the positions of the
    projections.

    Raises:
        AnotherArchiving: one is under way.
        ArchiveRefused: the relay or a projection has not had what is chosen, or the directory is
            that of another event store.
        ArchiveUnreadable: a segment is not what was written, or pyarrow is missing.
    """
    async with alone(owner) as connection:
        portions = [
            found
            for slot in range(SLOT_COUNT)
            if (found := await portion(connection.fetch, slot, choice)).versions
        ]
        if not portions:
            return Archived(0, 0, 0, 0, None)
        known = await archives(connection.fetch)
        previous = known[-1] if known else None
        archive.directory.mkdir(parents=True, exist_ok=True)
        environment_id = await connection.fetchval(_ENVIRONMENT)
        clear_leftovers(archive.directory, previous.number if previous else 0, environment_id)
        ends = {one.slot: one.end for one in portions}
        await check_covered(connection, read_model, ends)
        watch.step(f"{sum(len(one.versions) for one in portions):,} accounts are to be archived")
        number = previous.number + 1 if previous else 1
        segments = [await _segment(connection, archive, one, number, watch) for one in portions]
        record = Manifest(environment_id, choice.described, previous, segments).write(
            archive.directory
        )
        watch.step(f"manifest {number} is written")
        versions = {one: two for part in portions for one, two in part.versions.items()}
        await have_snapshots(
            PostgresEventStore(owner, archive),
            PostgresSnapshotStore(owner),
            versions,
            watch.progress,
        )
        watch.step("every account has a verified snapshot")
        await check_covered(connection, read_model, ends)
        events = await _remove(connection, record, segments, portions)
        watch.step(f"{events:,} events are on record and removed")
        size = sum(one.bytes for one in segments)
        return Archived(events, len(versions), len(segments), size, number)


async def _segment(
    connection: asyncpg.Connection, archive: Archive, wanted: Portion, number: int, watch: Watch
) -> Segment:
    """Have the file of a portion, and find in it what the table has."""
    name = segment_name(number, wanted.slot)
    path = archive.directory / name
    numbers: list[int] = []

    async def counted() -> AsyncIterator[list[RecordedEvent]]:
        async for page in pages(connection.fetch, wanted):
            numbers.extend(event.slot_seq for event in page)
            yield page

    await write_segment(path, counted())
    sha256 = await asyncio.to_thread(digest, path)
    segment = Segment(
        number,
        wanted.slot,
        numbers[0],
        numbers[-1],
        len(numbers),
        name,
        sha256,
        path.stat().st_size,
    )
    watch.step(f"{name} is written")
    compared = 0
    async for page in pages(connection.fetch, wanted):
        found = await asyncio.to_thread(
            archive.between, segment, page[0].slot_seq, page[-1].slot_seq
        )
        if found != page:
            raise ArchiveUnreadable(name, "is not what was written", "check the disk, run again")
        compared += len(page)
    if compared != segment.events or await asyncio.to_thread(archive.numbers, segment) != numbers:
        raise ArchiveUnreadable(name, "is not what was written", "check the disk, run again")
    watch.step(f"{name} is verified")
    return segment


async def _remove(
    connection: asyncpg.Connection,
    record: ArchiveRecord,
    segments: Sequence[Segment],
    portions: Sequence[Portion],
) -> int:
    columns = [
        [getattr(one, name) for one in segments]
        for name in ("slot", "first_seq", "last_seq", "events", "file", "sha256", "bytes")
    ]
    streams: list[tuple[UUID, int, int, object]] = [
        (stream_id, part.slot, version, part.recorded_at[stream_id])
        for part in portions
        for stream_id, version in part.versions.items()
    ]
    removed: int = await connection.fetchval(
        _ARCHIVE,
        *(record.number, record.file, record.sha256, record.previous_sha256),
        *columns,
        *zip(*streams, strict=True),
        timeout=_REMOVAL_TIMEOUT_S,
    )
    return removed
