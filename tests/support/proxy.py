"""A TCP proxy that can keep a server's answers back, cut the line, and leave it cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit, urlunsplit

_CHUNK: Final = 64 * 1024


class Proxy:
    """Stands between a client and a server on `target`. Open it with `proxied`."""

    def __init__(self, host: str, port: int) -> None:
        """Name the server."""
        self._target = host, port
        self._answers = asyncio.Event()
        self._answers.set()
        self._writers: list[asyncio.StreamWriter] = []
        self._refusing = False

    def hold_answers(self) -> None:
        """Let requests through, and no answer any more."""
        self._answers.clear()

    def cut(self) -> None:
        """Break every connection; new ones work again."""
        self._answers.set()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def refuse(self) -> None:
        """Break every connection, and every new one until `mend`."""
        self._refusing = True
        self.cut()

    def mend(self) -> None:
        """Let connections through again."""
        self._refusing = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect one client through."""
        if self._refusing:
            writer.transport.abort()
            return
        upstream_reader, upstream = await asyncio.open_connection(*self._target)
        self._writers += [writer, upstream]
        await asyncio.gather(
            self._copy(reader, upstream, answers=False),
            self._copy(upstream_reader, writer, answers=True),
        )

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(_CHUNK):
                if answers:
                    await self._answers.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def proxied(dsn: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Give a proxy before the server of a DSN, and the DSN that goes through it."""
    parts = urlsplit(dsn)
    proxy = Proxy(parts.hostname or "", parts.port or 5432)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    login, _, _ = parts.netloc.rpartition("@")
    try:
        yield proxy, urlunsplit(parts._replace(netloc=f"{login}@{host}:{port}"))
    finally:
        proxy.cut()
        server.close()
        await server.wait_closed()
