"""The query API in the test's own process, on a port of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import httpx
from fastapi import FastAPI

from passbook.config import Settings
from services.query_api.__main__ import listening, session
from services.query_api.app import create_app
from services.query_api.listening.server import HttpServer
from tests.support.ledger import Part

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Served:
    """A service that listens. `part` is its session, None where it has none."""

    app: FastAPI
    server: HttpServer
    client: httpx.AsyncClient
    part: Part | None

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.port

    async def raw(self, request: bytes) -> bytes:
        """Send bytes on a connection of their own and return all that comes until it is closed."""
        reader, writer = await asyncio.open_connection(HOST, self.port)
        try:
            writer.write(request)
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def serving(
    settings: Settings | None, *, most_requests: int = 256, ready: bool = True
) -> AsyncIterator[Served]:
    """Serve for the length of the block; without settings, as before any server can be reached.
    Begin when it is `ready`, or at once.
    """
    app = create_app(most_requests)
    server = HttpServer(app, HOST, 0)
    async with listening(settings or Settings(), app, server):
        part = None
        url = f"http://{HOST}:{server.port}"
        try:
            if settings is not None:
                part = Part(lambda stop, health: session(stop, health, settings, app, server))
                if ready:
                    await part.ready()
            async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
                yield Served(app, server, client, part)
        finally:
            if part is not None:
                await part.stop()
