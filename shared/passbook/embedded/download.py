"""One file over HTTP, checked against its size and hash before it gets its name."""

import errno
import hashlib
import os
import random
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import IO, Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from passbook.embedded.errors import DownloadError

ATTEMPTS: Final = 5
FIRST_DELAY_S: Final = 0.3
LONGEST_DELAY_S: Final = 5.0
SILENCE_BOUND_S: Final = 30.0
CHUNK: Final = 64 * 1024
TRANSIENT: Final = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    },
)


class WrongContentError(Exception):
    """What was received is not the file that was asked for."""

    def __init__(self, what: str, found: object, locked: object) -> None:
        """Name what differs from the lock."""
        self.what, self.found, self.locked = what, found, locked
        super().__init__(f"{what} {found}, but {locked} in the lock")


@dataclass(frozen=True, slots=True)
class Expected:
    """What the file must be: `sha256` in lower-case hex, `size` in bytes."""

    size: int
    sha256: str


class Meter:
    """Reports bytes of one attempt as they arrive, and takes them back when the attempt failed."""

    def __init__(self, report: Callable[[int], None], cancelled: threading.Event) -> None:
        """Report to `report` until `cancelled` is set; both may be used from any thread."""
        self._report = report
        self._cancelled = cancelled
        self._count = 0

    def add(self, count: int) -> None:
        """Report more bytes, or end the attempt when nobody wants the file any more."""
        if self._cancelled.is_set():
            raise InterruptedError(errno.ECANCELED, "cancelled")
        self._count += count
        self._report(count)

    def take_back(self) -> None:
        """Report the bytes of this attempt as not received."""
        self._report(-self._count)
        self._count = 0


def fetch(
    url: str,
    target: Path,
    expected: Expected,
    report: Callable[[int], None],
    cancelled: threading.Event,
) -> None:
    """Have `target` hold the body of `url`; `report` hears of bytes (negative: a failed attempt).

    urllib honours HTTPS_PROXY and NO_PROXY, OpenSSL honours SSL_CERT_FILE and SSL_CERT_DIR. A body
    that was cut or damaged is asked for again like a transient answer: more often than not it was a
    proxy.

    Raises:
        DownloadError: refused, not reachable, or wrong content after the last attempt; or
        cancelled.
    """
    for attempt in range(1, ATTEMPTS + 1):
        meter = Meter(report, cancelled)
        try:
            with scratch_for(target) as file:
                _receive(url, file, expected, meter)
        except (OSError, HTTPException, WrongContentError) as error:
            meter.take_back()
            if attempt == ATTEMPTS or cancelled.is_set() or not _is_transient(error):
                raise DownloadError(target.name, url, _reason(error)) from error
        else:
            return
        ceiling = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2**attempt)
        cancelled.wait(random.uniform(ceiling / 2, ceiling))


@contextmanager
def scratch_for(target: Path) -> Iterator[IO[bytes]]:
    """Give a new file that becomes `target` when the block ends well, and vanishes otherwise."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    scratch = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        scratch.chmod(0o644)
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)


def copy_checked(source: IO[bytes], file: IO[bytes], expected: Expected, meter: Meter) -> None:
    """Copy to the end of `source`.

    Raises:
        WrongContentError: the size or the hash differs.
    """
    digest, size = hashlib.sha256(), 0
    while (chunk := source.read(CHUNK)) and size <= expected.size:
        size += len(chunk)
        digest.update(chunk)
        file.write(chunk)
        meter.add(len(chunk))
    if size != expected.size:
        raise WrongContentError("size", size, expected.size)
    if digest.hexdigest() != expected.sha256:
        raise WrongContentError("sha256", digest.hexdigest(), expected.sha256)


def _receive(url: str, file: IO[bytes], expected: Expected, meter: Meter) -> None:
    # Any scheme will do: the URL is the operator's own setting, and the hash decides.
    request = Request(url, headers={"User-Agent": "passbook"})  # noqa: S310
    try:
        with urlopen(request, timeout=SILENCE_BOUND_S) as response:  # noqa: S310
            copy_checked(response, file, expected, meter)
    except HTTPError as error:
        error.close()  # it is the response, and keeps the connection open
        raise


def _is_transient(error: Exception) -> bool:
    return error.code in TRANSIENT if isinstance(error, HTTPError) else True


def _reason(error: Exception) -> str:
    match error:
        case HTTPError():
            return f"HTTP {error.code} {error.reason}"
        case URLError():
            return str(error.reason)
        case _:
            return str(error) or type(error).__name__
