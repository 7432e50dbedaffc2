"""What a route answers when it cannot do what it was asked: `application/problem+json` (RFC 9457).

The codes are those of `passbook.catalogue`; `type` is `urn:passbook:problem:<code>`.
"""

import time
from collections.abc import Mapping
from typing import Final

import orjson
import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from passbook.catalogue import CATALOGUE, INTERNAL, Meaning, code_of
from passbook.eventstore.errors import EventStoreError
from passbook.eventstore.pool import FAILURES, said
from passbook.eventstore.translation import translate
from services.balance_projector.queries import BadCursor

PROBLEM_JSON: Final = "application/problem+json"
_RETRY_AFTER: Final = {"Retry-After": "1"}
_METHODS: Final = {"GET": {"GET", "HEAD"}, "POST": {"POST"}}
_UNKNOWN_RULE: Final = Meaning("The command was rejected", 422, CATALOGUE["account_closed"].exit)
_SAY_EVERY_S: Final = 1.0
_BY_STATUS: Final = {404: "not_found", 405: "method_not_allowed"}
_SAID_TO_NOBODY: Final = {
    INTERNAL: "It was written down; please report when it happened.",
    "unavailable": "A server that is needed does not answer; try again.",
}
"""What is told instead of the driver's words, which are for operators."""

log = structlog.get_logger()


class _Away:
    """Says once a second that servers are away: thousands of requests may find out each second."""

    def __init__(self) -> None:
        self._said_at = -_SAY_EVERY_S
        self._more = 0

    def say(self, error: str) -> None:
        """Log it, unless that was done just now."""
        now = time.monotonic()
        if now - self._said_at < _SAY_EVERY_S:
            self._more += 1
            return
        log.warning("http.unavailable", error=error, more=self._more)
        self._said_at, self._more = now, 0


_AWAY: Final = _Away()


class Problem(Exception):
    """An answer that is an error of the catalogue. `detail` is for people, `extension` are further
    members; `status` replaces the catalogue's.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        *,
        status: int | None = None,
        **extension: object,
    ) -> None:
        super().__init__(detail)
        meaning = CATALOGUE.get(code, _UNKNOWN_RULE)
        self.code = code
        self.title = meaning.title
        self.status = status or meaning.status
        self.detail = detail
        self.extension = extension
        self.headers = dict(_RETRY_AFTER if self.status == 503 else {}) | dict(headers or {})  # noqa: PLR2004 - the status says it best

    def body(self) -> bytes:
        """Return the document."""
        return orjson.dumps(
            {
                "type": f"urn:passbook:problem:{self.code}",
                "title": self.title,
                "status": self.status,
                "detail": self.detail,
                "code": self.code,
                **self.extension,
            }
        )

    def response(self) -> Response:
        """Return the answer."""
        return Response(self.body(), self.status, self.headers, PROBLEM_JSON)


def problem_of(error: Exception) -> Problem:
    """Return what is answered for any exception; one that nobody foresaw is logged."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return Problem("malformed", _described(error))
        case BadCursor():
            return Problem("malformed", str(error))
        case HTTPException():
            code = _BY_STATUS.get(error.status_code, "malformed")
            return Problem(code, f"{error.detail}.", error.headers, status=error.status_code)
    error = _translated(error)
    code = code_of(error)
    if code == INTERNAL:
        log.error("http.failed", exc_info=error)
    elif code == "unavailable":
        _AWAY.say(said(error))
    return Problem(code, _SAID_TO_NOBODY.get(code) or f"{error}")


async def answer(request: Request, error: Exception) -> Response:
    """Answer with the problem that an exception is."""
    problem = problem_of(error)
    if "Allow" in problem.headers:
        problem.headers["Allow"] = ", ".join(sorted(_methods(request)))
    return problem.response()


def _methods(request: Request) -> set[str]:
    """Return what can be done here: on all routes of the path, not on the first one only."""
    found = set()
    for method in _METHODS:
        scope = dict(request.scope) | {"method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes):
            found |= _METHODS[method]
    return found


def _translated(error: Exception) -> Exception:
    """Return what a driver's error means."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, FAILURES) and not isinstance(error, TimeoutError):
        try:
            translate(error)
        except EventStoreError as translated:
            return translated
    return error


def _described(error: RequestValidationError) -> str:
    first = error.errors()[0]
    kind, *where = first["loc"]
    why = first["ctx"]["error"] if first["type"] == "value_error" else first["msg"]
    return f"{kind} {'.'.join(map(str, where))}: {why}".replace(" : ", ": ")
