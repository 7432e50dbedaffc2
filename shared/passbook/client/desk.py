"""Where ready events lie until somebody asks for one."""

import asyncio
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Desk(Generic[Thing]):
    """Hands each thing to one of those who ask, the lowest number first, and no more than `limit`
    before some come back. Whoever is cancelled while asking has got nothing.
    """

    def __init__(self, limit: int) -> None:
        """Start empty."""
        self._turns = asyncio.Semaphore(limit)
        self._things: asyncio.PriorityQueue[tuple[int, Thing | None]] = asyncio.PriorityQueue()
        self._ended = False

    def put(self, number: int, thing: Thing) -> None:
        """Lay something down. No number is used twice at a time."""
        self._things.put_nowait((number, thing))

    async def take(self) -> Thing | None:
        """Return the next thing, waiting for it and for one's turn; None when there will be none."""
        if self._ended:
            return None
        await self._turns.acquire()
        try:
            _, thing = (0, None) if self._ended else await self._things.get()
        except BaseException:
            self._turns.release()
            raise
        if thing is None or self._ended:
            self._ended = True
            # Those who wait find the end, each after the other.
            self.end(-1)
            return None
        return thing

    def give_back(self, count: int = 1) -> None:
        """Take note that this many things are out of the hands of those who had them."""
        for _ in range(count):
            self._turns.release()

    def end(self, number: int) -> None:
        """Have everybody told, when it is the turn of this number, that nothing comes any more. With
        -1 that is at once.
        """
        self._things.put_nowait((number, None))
        self._turns.release()
