"""Reading a small document from a file or an address, with an end to its size and its time."""

import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

LARGEST: Final = 256 * 1024
TIMEOUT_S: Final = 3.0
_PIECE: Final = 16 * 1024
_OK: Final = 200


class CannotFetch(Exception):
    """There is no document, or none that could be used; the message says why."""


def read_file(path: Path) -> bytes:
    """Return what is in a file.

    Raises:
        CannotFetch: it cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            return _small(file.read(LARGEST + 1))
    except OSError as error:
        raise CannotFetch(error.strerror or type(error).__name__) from error


def read_url(url: str, timeout_s: float = TIMEOUT_S) -> bytes:
    """Return what an http or https URL answers with 200. Redirects are not followed: they could lead
    from https to http.

    Raises:
        CannotFetch: nothing of use came in time.
    """
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - of the operator's settings, and checked there
    deadline = time.monotonic() + timeout_s
    found = b""
    try:
        with _OPENER.open(request, timeout=timeout_s) as answer:
            # By pieces: the time-out of a socket is for each of them, and they may be many.
            while len(found) <= LARGEST and (piece := answer.read1(_PIECE)):
                found += piece
                if time.monotonic() > deadline:
                    raise TimeoutError  # noqa: TRY301 - the same as that of a socket
            if answer.status != _OK:
                message = f"HTTP {answer.status}"
                raise CannotFetch(message)
    except urllib.error.HTTPError as error:
        error.close()
        message = f"HTTP {error.code}"
        raise CannotFetch(message) from error
    except urllib.error.URLError as error:
        raise CannotFetch(str(error.reason) or "no answer") from error
    except TimeoutError as error:
        message = f"no answer within {timeout_s:.0f} s"
        raise CannotFetch(message) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise CannotFetch(str(error) or type(error).__name__) from error
    return _small(found)


def _small(document: bytes) -> bytes:
    if len(document) > LARGEST:
        message = f"larger than {LARGEST} bytes"
        raise CannotFetch(message)
    return document


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        """Follow none: the answer is then an error."""


_OPENER: Final = urllib.request.build_opener(_NoRedirect)
