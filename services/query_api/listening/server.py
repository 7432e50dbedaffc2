"""The HTTP server: uvicorn in the event loop of the service, stopped in order."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

import uvicorn
from fastapi import FastAPI

from services.query_api.listening.connections import ABORT, Connection

__all__ = ["ABORT", "HttpServer"]

DRAIN_S: Final = 5.0
"""What requests in progress have to come to their end after a stop. Less than `STOP_TIMEOUT_S`."""
KEEP_ALIVE_S: Final = 30
_BACKLOG: Final = 512


class HttpServer:
    """Serves an application for as long as its `async with` block.

    `app.state.stopping` is set before anything else stops: whoever waits for something answers then
    with what there is.
    """

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        """Listen on `host` and `port` (0: a free one) in the block."""
        self._app = app
        self._place = (host, port)
        self._server = _Server(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                loop="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=round(DRAIN_S),
                backlog=_BACKLOG,
            )
        )
        self.port = port

    async def __aenter__(self) -> Self:
        """Accept connections. Ends the process when it cannot listen there."""
        host, port = self._place
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            sys.exit(f"cannot listen on {host}:{port}: {error}")
        # Inherited by the connections. asyncio sets it only on sockets whose protocol it was told, and
        # without it the second part of every answer waits 40 ms for the acknowledgement of the first.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self.port = listening.getsockname()[1]
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))
        return self

    async def serve_until(self, stop: asyncio.Event) -> None:
        """Return when `stop` is set and all requests in progress are answered."""
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({stopped, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        await self._finish()

    async def _finish(self) -> None:
        self._app.state.stopping.set()
        self._server.should_exit = True
        await self._serving

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, if that has not happened."""
        await self._finish()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the service."""
        yield
