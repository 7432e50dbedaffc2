"""Waiting that ends early: when the service stops, and when nobody waits for the answer any more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import Request

_LOOK_AFTER_S: Final = 0.25
"""Most answers come sooner, and are spared the look."""


class Stopping(asyncio.Event):
    """Set when everything comes to its end."""

    def __init__(self) -> None:
        """Nothing has stopped yet."""
        super().__init__()
        self._waits: set[asyncio.Timeout] = set()

    def set(self) -> None:
        """End all waiting now."""
        super().set()
        now = asyncio.get_running_loop().time()
        for wait in self._waits:
            _end(wait, now)

    @asynccontextmanager
    async def cutting_short(self, request: Request) -> AsyncIterator[None]:
        """End the block early when the service stops or the client has gone.

        Raises:
            TimeoutError: it was ended.
        """
        loop = asyncio.get_running_loop()
        watch: list[asyncio.Task[None]] = []
        async with asyncio.timeout(0 if self.is_set() else None) as wait:
            self._waits.add(wait)
            look = loop.call_later(
                _LOOK_AFTER_S, lambda: watch.append(loop.create_task(_gone(request, wait)))
            )
            try:
                yield
            finally:
                self._waits.discard(wait)
                look.cancel()
                for task in watch:
                    task.cancel()


async def _gone(request: Request, wait: asyncio.Timeout) -> None:
    """End the wait when the client goes."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    _end(wait, asyncio.get_running_loop().time())


def _end(wait: asyncio.Timeout, now: float) -> None:
    if not wait.expired():
        wait.reschedule(now)
