"""What a connection may do before there is a request: so many of them, so many bytes, so long.

The rest is in `limits`, where a request is known.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from passbook.telemetry import HTTP_REFUSED
from services.query_api.problems import PROBLEM_JSON, Problem

ABORT: Final = "passbook.abort"
"""The ASGI extension whose `abort` breaks a connection off, with whatever waits to be sent."""
MOST_CONNECTIONS: Final = 900
"""Below the 1,024 open files that a process usually has."""
MOST_HEADER_BYTES: Final = 16 * 1024
HEADERS_S: Final = 10.0
"""What the line and the headers of a request may take, from the connection or the last answer's end."""


class Connection(HttpToolsProtocol):
    """One connection of the HTTP server, within its limits."""

    _timer: asyncio.TimerHandle | None = None
    _in_head = False
    _head_bytes = 0
    _begun = 0
    _complete = True
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, unless there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse("overloaded", "There are too many connections.")
        else:
            self._timer = self.loop.call_later(HEADERS_S, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and refuse a head that does not end."""
        if self._refused:
            return
        at_the_start = self._complete
        self._begun = 0
        self._head_bytes += len(data)
        super().data_received(data)
        if self._begun and not (at_the_start and self._begun == 1):
            self._head_bytes = 0  # how much of it belongs to the last head cannot be known
        if self._in_head and self._head_bytes > MOST_HEADER_BYTES:
            self._refuse_head()

    def on_message_begin(self) -> None:
        """Let the application break the connection off."""
        super().on_message_begin()
        self._in_head = True
        self._complete = False
        self._begun += 1
        if self._timer is None:
            self._timer = self.loop.call_later(HEADERS_S, self._too_slow)
        extensions: dict[str, Any] = {ABORT: {"abort": self.transport.abort}}
        self.scope["extensions"] = extensions

    def on_headers_complete(self) -> None:
        """Begin the request, unless its head is too large."""
        self._stop_timer()
        self._in_head = False
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MOST_HEADER_BYTES:
            self._refuse_head()
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass a part of the body on."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Say that the body is complete."""
        self._complete = True
        self._head_bytes = 0
        if not self._refused:
            super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection; one whose client does not take the last answer is broken off."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse("malformed", msg)

    def _too_slow(self) -> None:
        self._timer = None
        if self._in_head:
            self._refuse("request_timeout", f"The headers took longer than {HEADERS_S:g} s.")
        else:  # nothing has come at all
            self._refused = True
            self.transport.close()

    def _refuse_head(self) -> None:
        detail = f"The request line and the headers may have {MOST_HEADER_BYTES} bytes."
        self._refuse("headers_too_large", detail)

    def _refuse(self, code: str, detail: str) -> None:
        """Answer with a problem, and close."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._in_head = False
        self._stop_timer()
        HTTP_REFUSED.labels(code).inc()
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self.transport.write(_written(Problem(code, detail)))
        elif not cycle.response_started and not self.pipeline:
            # Its body cannot be read to the end, and nobody but us is going to answer.
            self.transport.write(_written(Problem(code, detail)))
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _written(problem: Problem) -> bytes:
    body = problem.body()
    headers = {
        "Content-Type": PROBLEM_JSON,
        "Content-Length": str(len(body)),
        "Connection": "close",
        "Cache-Control": "no-store",
        **problem.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return STATUS_LINE[problem.status] + lines.encode() + b"\r\n" + body
