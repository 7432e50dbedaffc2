"""Locks that the kernel releases when their holder dies, however it dies."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from passbook.embedded.errors import DataDirectoryBusyError, DataDirectoryError


class FileLock:
    """An exclusive `flock` on a file, held until `release` or the death of this process.

    The file stays: removing it would let two processes hold "the" lock on two inodes. Children do
    not inherit it.
    """

    def __init__(self, path: Path) -> None:
        """Name the file; it is created when the lock is taken."""
        self.path = path
        self._fd: int | None = None

    def acquire(self) -> None:
        """Hold the lock.

        Raises:
            DataDirectoryBusyError: another process holds it.
            DataDirectoryError: the directory belongs to another user.
        """
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except PermissionError:
            raise DataDirectoryError(self.path.parent, "belongs to another user") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise DataDirectoryBusyError(self.path) from None
        self._fd = fd

    def release(self) -> None:
        """Let go of the lock; harmless when it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def is_held_by_anyone(self) -> bool:
        """Tell whether some process, this one included, holds the lock now."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def __enter__(self) -> Self:
        """Acquire."""
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release."""
        self.release()
