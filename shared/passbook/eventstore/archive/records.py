"""What is on record about the archive. A file that no row names does not count.

Events of a slot are in its table or in exactly one of its segments; which of them are archived is
always a prefix of every stream, and never the newest event of the slot.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

LAST_NUMBER: Final = 2**62
"""Above every number of a slot."""

Fetch = Callable[..., Awaitable[Sequence[Any]]]
"""Runs a query with arguments and returns its rows, as `asyncpg.Connection.fetch` does."""

PATIENCE: Final = "SET LOCAL idle_in_transaction_session_timeout = 0"
"""For a transaction in which files are read between its statements: a large one takes a while."""

_SEGMENTS: Final = """
SELECT archive, slot, first_seq, last_seq, events, file, sha256, bytes
  FROM eventstore.archive_segments
 WHERE slot = $1 AND last_seq >= $2 AND first_seq <= $3 ORDER BY archive
"""
_ALL_SEGMENTS: Final = """
SELECT archive, slot, first_seq, last_seq, events, file, sha256, bytes
  FROM eventstore.archive_segments ORDER BY archive, slot
"""
_ARCHIVES: Final = """
SELECT number, file, sha256, previous_sha256 FROM eventstore.archives ORDER BY number
"""


class Segment(NamedTuple):
    """A file with `events` events of a slot, the first and the last of which have these numbers.

    There may be holes between them: those are in the table, or in another segment.
    """

    archive: int
    slot: int
    first_seq: int
    last_seq: int
    events: int
    file: str
    sha256: bytes
    bytes: int


class ArchiveRecord(NamedTuple):
    """A run of archiving: its manifest's file and SHA-256, and that of the manifest before it."""

    number: int
    file: str
    sha256: bytes
    previous_sha256: bytes | None


class ArchivedStream(NamedTuple):
    """Of this stream, versions 1 to `version` are archived."""

    stream_id: UUID
    slot: int
    version: int


async def segments_of(
    fetch: Fetch, slot: int, first: int = 1, last: int = LAST_NUMBER
) -> list[Segment]:
    """Return the segments of a slot that may have numbers from `first` to `last`."""
    return [Segment(*row) for row in await fetch(_SEGMENTS, slot, first, last)]


async def all_segments(fetch: Fetch) -> list[Segment]:
    """Return every segment, by archive and slot."""
    return [Segment(*row) for row in await fetch(_ALL_SEGMENTS)]


async def archives(fetch: Fetch) -> list[ArchiveRecord]:
    """Return every archive, oldest first."""
    return [ArchiveRecord(*row) for row in await fetch(_ARCHIVES)]
