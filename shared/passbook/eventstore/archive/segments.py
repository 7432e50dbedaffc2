"""Segment files: events of one slot as Parquet, in the order of their numbers.

Texts are exactly those that the store returns, times are UTC with microseconds. pyarrow is loaded
when the first file is read or written, and not before: services that meet no archived event do not
pay for it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from passbook.eventstore.archive.durable import published
from passbook.eventstore.errors import ArchiveUnreadable
from passbook.eventstore.store import RecordedEvent

GROUP_SIZE: Final = 1024
"""Events that are compressed, read and kept in memory together: about 0.4 MB."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CHUNK: Final = 1 << 20


async def write_segment(path: Path, pages: AsyncIterable[Sequence[RecordedEvent]]) -> None:
    """Have the file, complete and on disk, or no file of this name that was not there before."""
    arrow, parquet = _pyarrow()
    schema = _schema(arrow)
    with published(path) as unfinished:
        writer = parquet.ParquetWriter(unfinished, schema, compression="zstd")
        try:
            async for page in pages:
                writer.write_table(_table(arrow, schema, page), row_group_size=GROUP_SIZE)
        finally:
            writer.close()


def digest(path: Path) -> bytes:
    """Return the SHA-256 of a file."""
    found = sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.digest()


class SegmentFile:
    """A segment that is open for reading. Not for two threads at once."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            ArchiveUnreadable: it is not a Parquet file.
        """
        self._arrow, parquet = _pyarrow()
        try:
            self._file = parquet.ParquetFile(path)
        except self._arrow.ArrowInvalid as error:
            raise ArchiveUnreadable(path.name, "is not a Parquet file") from error
        metadata = self._file.metadata
        place = self._file.schema_arrow.names.index("slot_seq")
        self.bounds: list[tuple[int, int]] = []
        """First and last number of each group."""
        for group in range(metadata.num_row_groups):
            statistics = metadata.row_group(group).column(place).statistics
            self.bounds.append((statistics.min, statistics.max))

    def group(self, number: int) -> "Group":
        """Return all events of a group."""
        return Group(self._arrow, self._file.read_row_group(number))

    def numbers(self) -> list[int]:
        """Return all numbers, in the order of the file."""
        found: list[int] = self._file.read(columns=["slot_seq"]).column(0).to_pylist()
        return found

    def of_streams(self, stream_ids: Sequence[UUID]) -> list[RecordedEvent]:
        """Return the events of some streams, in order."""
        from pyarrow import compute

        wanted = self._arrow.array([one.bytes for one in stream_ids], self._arrow.binary(16))
        found = []
        for group in range(len(self.bounds)):
            ids = self._file.read_row_group(group, columns=["stream_id"]).column(0)
            mask = compute.is_in(ids, value_set=wanted)
            if compute.any(mask).as_py():
                found += _events(self._arrow, self._file.read_row_group(group).filter(mask))
        return found


class Group:
    """Events that are in memory as they are in the file; only what is asked for becomes objects."""

    def __init__(self, arrow: Any, table: Any) -> None:
        """Take what was read."""
        self._arrow = arrow
        self._table = table
        self._numbers: list[int] = table.column("slot_seq").to_pylist()

    def between(self, first: int, last: int) -> list[RecordedEvent]:
        """Return the events with numbers from `first` to `last`, in order."""
        start, end = bisect_left(self._numbers, first), bisect_right(self._numbers, last)
        return _events(self._arrow, self._table.slice(start, end - start)) if start < end else []


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        reason, remedy = "cannot be read without pyarrow", "install `passbook[archive]`"
        raise ArchiveUnreadable("the archive", reason, remedy) from error
    return pa, parquet


def _schema(arrow: Any) -> Any:
    moment = arrow.timestamp("us", tz="UTC")
    types = (
        *(arrow.int16(), arrow.int64(), arrow.binary(16), arrow.int32(), arrow.binary(16)),
        *(arrow.string(), arrow.int16(), arrow.string(), arrow.string(), moment, moment),
    )
    return arrow.schema(list(zip(RecordedEvent._fields, types, strict=True)))


def _table(arrow: Any, schema: Any, events: Sequence[RecordedEvent]) -> Any:
    columns = dict(zip(RecordedEvent._fields, zip(*events, strict=True), strict=True))
    for name in ("stream_id", "event_id"):
        columns[name] = tuple(one.bytes for one in columns[name])
    for name in ("occurred_at", "recorded_at"):
        columns[name] = tuple((one - _EPOCH) // timedelta(microseconds=1) for one in columns[name])
    arrays = [arrow.array(columns[field.name], field.type) for field in schema]
    return arrow.Table.from_arrays(arrays, schema=schema)


def _events(arrow: Any, table: Any) -> list[RecordedEvent]:
    columns = {name: table.column(name) for name in RecordedEvent._fields}
    for name in ("occurred_at", "recorded_at"):
        columns[name] = columns[name].cast(arrow.int64())
    values = {name: column.to_pylist() for name, column in columns.items()}
    for name in ("stream_id", "event_id"):
        values[name] = [UUID(bytes=one) for one in values[name]]
    for name in ("occurred_at", "recorded_at"):
        values[name] = [_EPOCH + timedelta(microseconds=one) for one in values[name]]
    return [RecordedEvent._make(row) for row in zip(*values.values(), strict=True)]
