"""Where ready events lie until somebody asks for one."""

import asyncio
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Desk(Generic[Thing]):
    """Hands each thing to one of those who ask, and no more than `limit` before some come back.

    Whoever is cancelled while asking has got nothing.
    """

    def __init__(self, limit: int) -> None:
        """Start empty."""
        self._turns = asyncio.Semaphore(limit)
        self._things: asyncio.Queue[Thing | None] = asyncio.Queue()

    def put(self, thing: Thing) -> None:
        """Lay down something for whoever asks next."""
        self._things.put_nowait(thing)

    async def take(self) -> Thing | None:
        """Return the next thing, waiting for it and for one's turn; None when there will be none."""
        await self._turns.acquire()
        try:
            thing = await self._things.get()
        except BaseException:
            self._turns.release()
            raise
        if thing is None:
            # For the next one who asks, too.
            self._things.put_nowait(None)
            self._turns.release()
        return thing

    def give_back(self, count: int = 1) -> None:
        """Take note that this many things are out of the hands of those who had them."""
        for _ in range(count):
            self._turns.release()

    def end(self) -> None:
        """Have everybody told, after what lies here now, that nothing comes any more."""
        self._things.put_nowait(None)
        # Those who wait for their turn find the end, each after the other.
        self._turns.release()

    def clear(self) -> None:
        """Take away what lies here, and have everybody told at once that nothing comes any more."""
        while not self._things.empty():
            self._things.get_nowait()
        self.end()
