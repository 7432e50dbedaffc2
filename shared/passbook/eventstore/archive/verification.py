"""Is the archive whole? Manifests, segments, and whether table and archive together are the log."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from passbook.eventstore.archive.files import Archive
from passbook.eventstore.archive.manifests import described
from passbook.eventstore.archive.records import (
    PATIENCE,
    ArchiveRecord,
    Segment,
    all_segments,
    archives,
)
from passbook.eventstore.archive.segments import GROUP_SIZE
from passbook.eventstore.errors import ArchiveUnreadable
from passbook.eventstore.store import RecordedEvent

_STREAMS: Final = "SELECT stream_id, version FROM eventstore.archived_streams WHERE slot = $1"
_IN_TABLE: Final = """
SELECT count(*) FROM eventstore.events WHERE slot = $1 AND slot_seq <= $2
"""

OnProgress = Callable[[int, int], None]


class Verification(NamedTuple):
    """What was read, and the first thing that is wrong: in which file or slot, and what."""

    manifests: int
    segments: int
    events: int
    wrong: tuple[str, str] | None

    @property
    def ok(self) -> bool:
        """Whether everything on record is there, unchanged."""
        return self.wrong is None


class _Wrong(Exception):
    """Where, and what."""


async def verify_archive(
    connection: asyncpg.Connection,
    archive: Archive,
    on_progress: OnProgress = lambda _done, _total: None,
) -> Verification:
    """Read every file that is on record and compare it with the record and with its manifest.

    The connection may read the event store; it is used in one transaction.
    """
    archive.forget()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(PATIENCE)
        known = await archives(connection.fetch)
        segments = await all_segments(connection.fetch)
        total = sum(one.events for one in segments)
        done = 0
        wrong = None
        try:
            _check_manifests(archive, known, segments)
            by_slot = sorted(segments, key=attrgetter("slot", "archive"))
            for slot, some in groupby(by_slot, attrgetter("slot")):
                for events in await _check_slot(connection, archive, slot, list(some)):
                    done += events
                    on_progress(done, total)
        except _Wrong as error:
            wrong = error.args[0], error.args[1]
        except ArchiveUnreadable as error:
            wrong = error.file, error.reason
    return Verification(len(known), len(segments), done, wrong)


def _check_manifests(
    archive: Archive, known: Sequence[ArchiveRecord], segments: Sequence[Segment]
) -> None:
    previous = None
    for number, record in enumerate(known, start=1):
        if record.number != number or record.previous_sha256 != previous:
            raise _Wrong(record.file, "does not follow the manifest before it")
        previous = record.sha256
        try:
            content = (archive.directory / record.file).read_bytes()
        except OSError as error:
            raise _Wrong(record.file, f"is not in {archive.directory}") from error
        if sha256(content).digest() != record.sha256:
            raise _Wrong(record.file, f"in {archive.directory} was changed")
        document: dict[str, Any] = orjson.loads(content)
        of_this = [one for one in segments if one.archive == number]
        if document["segments"] != described(of_this):
            raise _Wrong(record.file, "names other segments than the record")


async def _check_slot(
    connection: asyncpg.Connection, archive: Archive, slot: int, segments: Sequence[Segment]
) -> list[int]:
    """Compare the segments of a slot; return how many events each has."""
    numbers: set[int] = set()
    versions: Counter[UUID] = Counter()
    for segment in segments:
        found = archive.numbers(segment)
        bounds = (segment.first_seq, segment.last_seq, segment.events)
        if found != sorted(set(found)) or (found[0], found[-1], len(found)) != bounds:
            raise _Wrong(segment.file, "has other numbers than the record")
        if not numbers.isdisjoint(found):
            raise _Wrong(segment.file, "has numbers that an older one has, too")
        numbers.update(found)
        for event in _each(archive, segment, found):
            versions[event.stream_id] += 1
            if event.slot != slot or event.version != versions[event.stream_id]:
                what = f"has an event at {slot}:{event.slot_seq} that does not belong there"
                raise _Wrong(segment.file, what)
    where = f"slot {slot}"
    if dict(await connection.fetch(_STREAMS, slot)) != versions:
        raise _Wrong(where, "has other streams on record than in its segments")
    last = max(numbers)
    if await connection.fetchval(_IN_TABLE, slot, last) != last - len(numbers):
        raise _Wrong(where, f"has holes below {last} in table and archive together")
    return [segment.events for segment in segments]


def _each(archive: Archive, segment: Segment, numbers: Sequence[int]) -> Iterator[RecordedEvent]:

    for start in range(0, len(numbers), GROUP_SIZE):
        some = numbers[start : start + GROUP_SIZE]
        yield from archive.between(segment, some[0], some[-1])
