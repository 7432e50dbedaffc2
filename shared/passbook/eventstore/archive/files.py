"""The directory of the archive, of which only what is as it was recorded is read.

The SHA-256 of a file is compared when this process reads it for the first time, and again when the
file has another size or time than it had then.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

from passbook.eventstore.archive.records import Segment
from passbook.eventstore.archive.segments import Group, SegmentFile, digest
from passbook.eventstore.errors import ArchiveUnreadable
from passbook.eventstore.store import RecordedEvent

_GROUPS_KEPT: Final = 80
"""About 30 MB, and only in a process that reads archived events: one group of every slot, for whoever
reads all of them side by side."""
_FILES_KEPT: Final = 80

_State = tuple[int, int]
"""Time and size of a file."""


class Archive:
    """The files in a directory, which need not exist before something is archived.

    Methods block while they read; call them in a thread. They may be called by several.
    """

    def __init__(self, directory: Path) -> None:
        """Name the directory."""
        self.directory = directory
        self._checked: dict[Path, tuple[_State, bytes]] = {}
        self._files: OrderedDict[tuple[Path, _State], SegmentFile] = OrderedDict()
        self._groups: OrderedDict[tuple[bytes, int], Group] = OrderedDict()
        self._lock = threading.Lock()

    def between(self, segment: Segment, first: int, last: int) -> list[RecordedEvent]:
        """Return the events of a segment with numbers from `first` to `last`, in order.

        Raises:
            ArchiveUnreadable: the file is missing or was changed.
        """
        with self._lock:
            file = self._open(segment)
            found: list[RecordedEvent] = []
            for number, (low, high) in enumerate(file.bounds):
                if low <= last and high >= first:
                    found += self._group(file, segment, number).between(first, last)
            return found

    def of_streams(self, segment: Segment, stream_ids: Sequence[UUID]) -> list[RecordedEvent]:
        """Return the events of some streams in a segment, in order.

        Raises:
            ArchiveUnreadable: the file is missing or was changed.
        """
        with self._lock:
            return self._open(segment).of_streams(stream_ids)

    def numbers(self, segment: Segment) -> list[int]:
        """Return all numbers in a segment, in the order of the file.

        Raises:
            ArchiveUnreadable: the file is missing or was changed.
        """
        with self._lock:
            return self._open(segment).numbers()

    def forget(self) -> None:
        """Compare every file again before it is read again."""
        with self._lock:
            for kept in (self._checked, self._files, self._groups):
                kept.clear()

    def _group(self, file: SegmentFile, segment: Segment, number: int) -> Group:
        key = (segment.sha256, number)
        if key not in self._groups:
            self._groups[key] = file.group(number)
            if len(self._groups) > _GROUPS_KEPT:
                self._groups.popitem(last=False)
        self._groups.move_to_end(key)
        return self._groups[key]

    def _open(self, segment: Segment) -> SegmentFile:
        path = self.directory / segment.file
        try:
            status = path.stat()
            state = (status.st_mtime_ns, status.st_size)
            found = self._checked.get(path)
            if found is None or found[0] != state:
                found = self._checked[path] = (state, digest(path))
            if found[1] != segment.sha256:
                raise ArchiveUnreadable(segment.file, f"in {self.directory} was changed")
            if (path, state) not in self._files:
                self._files[path, state] = SegmentFile(path)
                if len(self._files) > _FILES_KEPT:
                    self._files.popitem(last=False)
            self._files.move_to_end((path, state))
            return self._files[path, state]
        except FileNotFoundError as error:
            raise ArchiveUnreadable(segment.file, f"is not in {self.directory}") from error
        except OSError as error:
            reason = f"in {self.directory} cannot be read: {error.strerror}"
            raise ArchiveUnreadable(segment.file, reason) from error
