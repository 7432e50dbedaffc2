"""Keeps the embedded servers running: one that ends by itself is started again, on its data."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

from passbook.cli.failures import CommandFailed

Say = Callable[[str], None]
"""Is told what has just been done, in a few words for people who watch."""

HEALTHY_AFTER_S: Final = 30.0
MOST_EARLY_ENDS: Final = 3


class Server(Protocol):
    """`EmbeddedPostgres` or `EmbeddedKafka`."""

    port: int

    @property
    def log(self) -> Path:
        """Where it says what it does."""
        ...

    async def start(self) -> None:
        """Serve clients."""
        ...

    async def ended(self) -> None:
        """Return when it has ended."""
        ...

    async def stop(self) -> None:
        """End it."""
        ...


@asynccontextmanager
async def kept(servers: Mapping[str, Server], say: Say) -> AsyncIterator[None]:
    """Keep servers, by name, running for the length of the block. They are started before it and
    stopped after it by the caller.

    Raises:
        ExceptionGroup: what the block raised; or one could not be kept running, and the block was
            cancelled.
    """
    async with asyncio.TaskGroup() as group:
        keepers = [group.create_task(_keep(name, one, say)) for name, one in servers.items()]
        try:
            yield
        finally:
            for keeper in keepers:
                keeper.cancel()


async def _keep(name: str, server: Server, say: Say) -> None:
    loop = asyncio.get_running_loop()
    early_ends = 0
    while early_ends < MOST_EARLY_ENDS:
        started, port = loop.time(), server.port
        await server.ended()
        early_ends = early_ends + 1 if loop.time() - started < HEALTHY_AFTER_S else 0
        say(f"{name} has ended by itself")
        await server.stop()
        await server.start()
        if server.port != port:
            message = f"{name} came back on another port, {port} is taken: run `passbook up` again"
            raise CommandFailed(message)
        say(f"{name} runs again")
    message = f"{name} ends as soon as it is started; its log is {server.log}"
    raise CommandFailed(message)
