"""Completing what was read from the table with what is in the archive.

What follows without a hole costs a comparison of sums and no query. A hole in the numbers of a
slot, or a stream that does not begin where it was asked for, is looked up in the records; what is
then still missing is an error, never a shorter history.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, TypeAlias
from uuid import UUID

from passbook.eventstore.archive.files import Archive
from passbook.eventstore.archive.records import (
    LAST_NUMBER,
    ArchivedStream,
    Fetch,
    Segment,
    segments_of,
)
from passbook.eventstore.errors import ArchiveUnreadable, LogIncomplete
from passbook.eventstore.store import RecordedEvent

_ATTEMPTS: Final = 6
_PAUSE_S: Final = 0.01
"""Table, records and files are read one after the other; a restore in between moves events back. It
does so once, so that reading again finds them; the pauses double, and are 0.3 s together.
"""

Read: TypeAlias = Callable[[], Awaitable[list[RecordedEvent]]]


class ReadThrough:
    """Reads events with a query, and those that the query has not found in the archive."""

    def __init__(self, fetch: Fetch, archive: Archive | None) -> None:
        """Read the database through `fetch`. Without an archive, what is archived is an error."""
        self._fetch = fetch
        self._archive = archive

    async def log(
        self, after: Mapping[int, int], limit: int, query: str, *arguments: object
    ) -> list[RecordedEvent]:
        """Return what the query finds, up to `limit` events of each slot above its number in
        `after`, completed.

        Raises:
            LogIncomplete: a number is neither in the table nor readable in the archive.
        """

        async def read() -> list[RecordedEvent]:
            rows = [RecordedEvent._make(row) for row in await self._fetch(query, *arguments)]
            last = {row.slot: row.slot_seq for row in rows}
            if sum(last.values()) - sum(after[slot] for slot in last) == len(rows):
                return rows
            return await self._complete_log(rows, after, limit)

        return await _patiently(read)

    async def streams(
        self,
        after: Mapping[UUID, int],
        up_to: Mapping[int, int] | None,
        query: str,
        *arguments: object,
    ) -> list[RecordedEvent]:
        """Return what the query finds, the events of the streams in `after` above their versions,
        each up to a number of its slot (None: all), in the order of `after`; completed.

        The query tells in one look what is in the table and, in rows of number 0 behind the others,
        how far a stream is archived: of two looks, a restore in between would hide a stream.

        Raises:
            LogIncomplete: a version is neither in the table nor readable in the archive.
        """

        async def read() -> list[RecordedEvent]:
            found = await self._fetch(query, *arguments)
            count = len(found)
            while count and not found[count - 1]["slot_seq"]:
                count -= 1
            rows = [RecordedEvent._make(row) for row in found[:count]]
            archived = {
                row["stream_id"]: ArchivedStream(row["stream_id"], row["slot"], row["version"])
                for row in found[count:]
            }
            last = {row.stream_id: row.version for row in rows}
            whole = sum(last.values()) - sum(after[one] for one in last) == len(rows)
            if whole and not archived:
                return rows
            return await self._complete_streams(rows, archived, after, up_to)

        return await _patiently(read)

    async def between(self, slot: int, first: int, last: int) -> list[RecordedEvent]:
        """Return the archived events of a slot with numbers from `first` to `last`, in order.

        Raises:
            ArchiveUnreadable: a file is missing or was changed.
        """
        segments = await segments_of(self._fetch, slot, first, last)
        if not segments:
            return []
        archive = self._configured(segments)
        found = [
            event
            for segment in segments
            for event in await asyncio.to_thread(archive.between, segment, first, last)
        ]
        return sorted(found, key=attrgetter("slot_seq"))

    async def _complete_log(
        self, rows: Iterable[RecordedEvent], after: Mapping[int, int], limit: int
    ) -> list[RecordedEvent]:
        complete: list[RecordedEvent] = []
        for slot, some in groupby(rows, attrgetter("slot")):
            events = list(some)
            if events[-1].slot_seq - after[slot] > len(events):
                end = min(events[-1].slot_seq, after[slot] + limit)
                known = {event.slot_seq: event for event in events if event.slot_seq <= end}
                for event in await self.between(slot, after[slot] + 1, end):
                    known[event.slot_seq] = event
                events = [known[number] for number in sorted(known)]
                _require(range(after[slot] + 1, end + 1), known, f"slot {slot}: no number")
            complete += events
        return complete

    async def _complete_streams(
        self,
        rows: Iterable[RecordedEvent],
        archived: Mapping[UUID, ArchivedStream],
        after: Mapping[UUID, int],
        up_to: Mapping[int, int] | None,
    ) -> list[RecordedEvent]:
        known: dict[UUID, dict[int, RecordedEvent]] = {stream_id: {} for stream_id in after}
        for row in rows:
            known[row.stream_id][row.version] = row
        for event in await self._archived(archived.values()):
            if event.version > after[event.stream_id]:
                known[event.stream_id][event.version] = event
        for stream_id, events in known.items():
            last = archived[stream_id].version if stream_id in archived else 0
            wanted = range(after[stream_id] + 1, max(last, *events, 0) + 1)
            _require(wanted, events, f"account {stream_id}: no version")
        return [
            events[version]
            for events in known.values()
            for version in sorted(events)
            if up_to is None or events[version].slot_seq <= up_to.get(events[version].slot, 0)
        ]

    async def _archived(self, streams: Iterable[ArchivedStream]) -> list[RecordedEvent]:
        """Return all archived events of some streams."""
        slots = defaultdict(list)
        for one in streams:
            slots[one.slot].append(one.stream_id)
        found = []
        for slot, stream_ids in slots.items():
            segments = await segments_of(self._fetch, slot, 1, LAST_NUMBER)
            for segment in segments:
                archive = self._configured(segments)
                found += await asyncio.to_thread(archive.of_streams, segment, stream_ids)
        return found

    def _configured(self, segments: Sequence[Segment]) -> Archive:
        if self._archive is None:
            reason, remedy = "is wanted, and no archive is configured", "set PASSBOOK_ARCHIVE_DIR"
            raise ArchiveUnreadable(segments[0].file, reason, remedy)
        return self._archive


async def _patiently(read: Read) -> list[RecordedEvent]:
    """Return what is read, at the latest when a restore that is under way has ended.

    Raises:
        LogIncomplete: it stays so.
    """
    for attempt in range(_ATTEMPTS - 1):
        try:
            return await read()
        except LogIncomplete:
            await asyncio.sleep(_PAUSE_S * 2**attempt)
    return await read()


def _require(wanted: range, known: Mapping[int, RecordedEvent], what: str) -> None:
    missing = next((number for number in wanted if number not in known), None)
    if missing is not None:
        message = f"{what} {missing} in the table nor in the archive"
        raise LogIncomplete(message)
