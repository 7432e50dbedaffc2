"""Something between a service and PostgreSQL that behaves as a connection pooler does."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit


@asynccontextmanager
async def pooler(dsn: str) -> AsyncIterator[str]:
    """Give a DSN through something that gives out process ids of its own, as poolers do."""
    parts = urlsplit(dsn)
    key_data = b"K" + struct.pack(">I", 12)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection(parts.hostname, parts.port)

        async def answer() -> None:
            while data := await answers.read(65536):
                at = data.find(key_data)
                if at >= 0:
                    data = data[: at + 5] + struct.pack(">I", 4711) + data[at + 9 :]
                writer.write(data)
            writer.close()

        async def ask() -> None:
            while data := await reader.read(65536):
                requests.write(data)

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(answer())
                await ask()
                requests.close()
        except* ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    login = parts.netloc.rpartition("@")[0]
    try:
        yield urlunsplit(parts._replace(netloc=f"{login}@{host}:{port}"))
    finally:
        server.close()
