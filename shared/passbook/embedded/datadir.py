"""The data directory: what an installation on this machine remembers, and whether it runs.

.passbook/
  lock             held (flock) by the running supervisor; the kernel releases it at its death
  supervisor.pid   whom `down` signals; means something only while the lock is held
  endpoints.json   0600, while it runs
  secrets/         0700, one generated password a file
  postgres/ kafka/ the embedded servers
  logs/            what the services of a quiet run wrote
"""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from passbook.embedded.endpoints import Endpoints
from passbook.embedded.errors import DataDirectoryError
from passbook.embedded.locks import FileLock
from passbook.embedded.private_files import write_private
from passbook.embedded.privileges import make_open_dir

DEFAULT: Final = Path(".passbook")


class DataDir:
    """A data directory, which may not exist yet."""

    def __init__(self, path: Path | None = None) -> None:
        """Name the directory; the default is `PASSBOOK_DATA_DIR`, or `.passbook` in this one."""
        self.path = (
            (path or Path(os.environ.get("PASSBOOK_DATA_DIR") or DEFAULT)).expanduser().resolve()
        )
        self._lock = FileLock(self.path / "lock")

    @property
    def postgres(self) -> Path:
        """The place of `EmbeddedPostgres`."""
        return self.path / "postgres"

    @property
    def kafka(self) -> Path:
        """The place of `EmbeddedKafka`."""
        return self.path / "kafka"

    @property
    def logs(self) -> Path:
        """The place for logs of services."""
        return self.path / "logs"

    def create(self) -> None:
        """Have the directory and its folders.

        Raises:
            DataDirectoryError: something else has this name, or this user may not write there.
        """
        try:
            make_open_dir(self.path)
            (self.path / ".gitignore").write_text(
                "*\n"
            )  # ledgers and passwords do not belong in a repository
            self.logs.mkdir(exist_ok=True)
            self._secrets.mkdir(mode=0o700, exist_ok=True)
            self._secrets.chmod(0o700)
        except OSError as error:
            raise DataDirectoryError(self.path, error.strerror or str(error)) from error

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Be the supervisor of this directory for the block; there is one at a time.

        Raises:
            DataDirectoryBusyError: another process is.
        """
        self.create()
        with self._lock:
            write_private(self._pid_file, f"{os.getpid()}\n")
            self._endpoints_file.unlink(missing_ok=True)  # of a predecessor that was killed
            try:
                yield
            finally:
                self._endpoints_file.unlink(missing_ok=True)
                self._pid_file.unlink(missing_ok=True)

    def is_running(self) -> bool:
        """Tell whether a supervisor holds the directory."""
        return self._lock.is_held_by_anyone()

    def supervisor_pid(self) -> int | None:
        """Return the pid of the process that holds the directory, None if nobody does (yet)."""
        if not self.is_running():
            return None
        try:
            pid = int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if self._has_lock_open(pid) else None

    def password(self, name: str) -> str:
        """Return the password of a login, made up when it is asked for the first time."""
        path = self._secrets / name
        if not path.exists():
            write_private(path, secrets.token_urlsafe(24))
        return path.read_text()

    def write_endpoints(self, endpoints: Endpoints) -> None:
        """Tell other terminals where everything is."""
        write_private(self._endpoints_file, endpoints.to_json())

    def endpoints(self) -> Endpoints | None:
        """Return where everything is; None when nothing runs, or it is still starting."""
        if not self.is_running():
            return None
        try:
            return Endpoints.from_json(self._endpoints_file.read_text())
        except FileNotFoundError:
            return None

    @property
    def _secrets(self) -> Path:
        return self.path / "secrets"

    @property
    def _pid_file(self) -> Path:
        return self.path / "supervisor.pid"

    @property
    def _endpoints_file(self) -> Path:
        return self.path / "endpoints.json"

    def _has_lock_open(self, pid: int) -> bool:
        """Rule out the pid of a dead predecessor, not yet overwritten and perhaps anybody's."""
        if sys.platform != "linux":
            return True
        try:
            return any(opened.samefile(self._lock.path) for opened in _open_files(pid))
        except OSError:
            return False


def _open_files(pid: int) -> Iterator[Path]:
    return (entry for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.exists())
