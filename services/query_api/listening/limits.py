"""What a request may cost: how many at once, how large, how long; and what is counted about it.

Pure ASGI: it is around everything, answers while nothing else can, and adds microseconds.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from passbook.telemetry import HTTP_IN_PROGRESS, HTTP_REFUSED, HTTP_REQUESTS, HTTP_SECONDS
from services.query_api.identity.loopback import refuse_strangers
from services.query_api.listening.connections import ABORT
from services.query_api.listening.correlation import correlated
from services.query_api.problems import Problem, problem_of

MOST_BODY_BYTES: Final = 64 * 1024
BODY_S: Final = 10.0
"""What a body may take to come in."""
REQUEST_S: Final = 45.0
"""More than the longest wait that may be asked for."""
HEAD: Final = "passbook.head"
"""The ASGI extension that says of a GET that only its head is wanted."""
_AFTERWARDS_S: Final = 0.01
"""The server learns in a later turn of the loop that the connection has ended."""
STREAM: Final = "/v1/events"
"""Does not end by itself; its clients are counted by themselves."""
_CLOSING: Final = {"Connection": "close"}
_LARGE: Final = f"A body may have {MOST_BODY_BYTES} bytes."


@dataclass(slots=True)
class _Exchange:
    """What is known of one request and its answer."""

    started: float
    status: int = 0
    received: int = 0
    body_ended: bool = False


class Limits:
    """Lets an application answer within limits; every answer is one of ours, whatever happens."""

    def __init__(self, app: ASGIApp, most_requests: int) -> None:
        """Let up to `most_requests` be in progress at once, besides streams."""
        self.app = app
        self._most = most_requests
        self.in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        method = scope["method"]
        if method == "HEAD":  # the server leaves the body out, by what its own scope says
            extensions = {**scope.get("extensions", {}), HEAD: {}}
            scope = {**scope, "method": "GET", "extensions": extensions}
        exchange = _Exchange(time.perf_counter())
        telling = _telling(exchange, send)
        streaming = scope["path"] == STREAM
        if self.in_progress >= self._most and not streaming:
            detail = f"There are {self._most} requests in progress already."
            await _tell(Problem("overloaded", detail), scope, receive, telling)
        else:
            self.in_progress += not streaming
            HTTP_IN_PROGRESS.inc()
            try:
                with correlated(scope):
                    await self._answer(scope, _limited(exchange, receive), telling, exchange)
            finally:
                self.in_progress -= not streaming
                HTTP_IN_PROGRESS.dec()
        _count(scope, method, exchange)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, exchange: _Exchange
    ) -> None:
        try:
            refuse_ambiguous(scope)
            if scope["app"].state.authenticator is None:
                refuse_strangers(scope)
            refuse_large(scope)
            async with asyncio.timeout(None if scope["path"] == STREAM else REQUEST_S):
                await self.app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - every one is answered, or ends the connection
            if exchange.status:
                await _break_off(scope, error)
            else:
                await _tell(problem_of(error), scope, receive, send)


async def _break_off(scope: Scope, error: Exception) -> None:
    """End a connection whose answer cannot be ended: half of one must not look like all of it."""
    if not isinstance(error, TimeoutError):
        problem_of(error)  # which says it to operators
    HTTP_REFUSED.labels("cut_off").inc()
    scope["extensions"][ABORT]["abort"]()
    await asyncio.sleep(_AFTERWARDS_S)


def refuse_ambiguous(scope: Scope) -> None:
    """Return if whoever stands between understands the target as we do (RFC 9112, 3.2; RFC 3986, 2.2).

    Raises:
        Problem: `malformed`, `not_found`.
    """
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1 and (hosts or scope["http_version"] == "1.1"):
        raise Problem("malformed", "header Host: must be given once", _CLOSING)
    if b"%2f" in scope["raw_path"].lower():
        raise Problem("not_found", "No path of ours has an encoded slash.")


def refuse_large(scope: Scope) -> None:
    """Return if the body is not announced to be too large.

    Raises:
        Problem: `body_too_large`.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > MOST_BODY_BYTES:
            raise Problem("body_too_large", _LARGE, _CLOSING)


def _limited(exchange: _Exchange, receive: Receive) -> Receive:
    async def limited() -> Message:
        if exchange.body_ended:
            return await receive()
        try:
            async with asyncio.timeout(exchange.started + BODY_S - time.perf_counter()):
                message = await receive()
        except TimeoutError as error:
            detail = f"The body took longer than {BODY_S:g} s."
            raise Problem("request_timeout", detail, _CLOSING) from error
        exchange.body_ended = not message.get("more_body", False)
        exchange.received += len(message.get("body", b""))
        if exchange.received > MOST_BODY_BYTES:
            raise Problem("body_too_large", _LARGE, _CLOSING)
        return message

    return limited


def _telling(exchange: _Exchange, send: Send) -> Send:
    async def telling(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            headers["X-Content-Type-Options"] = "nosniff"
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return telling


async def _tell(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    if problem.code in {"overloaded", "body_too_large", "request_timeout"}:
        HTTP_REFUSED.labels(problem.code).inc()
    await problem.response()(scope, receive, send)


def _count(scope: Scope, method: str, exchange: _Exchange) -> None:
    route = getattr(scope.get("route"), "path", "none")
    HTTP_REQUESTS.labels(route, method, f"{exchange.status // 100}xx").inc()
    if scope["path"] != STREAM:
        HTTP_SECONDS.labels(route).observe(time.perf_counter() - exchange.started)
