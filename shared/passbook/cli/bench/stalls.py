"""For how long nothing moved, while something is counted all the time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

_LOOK_EVERY_S: Final = 0.02

Counts = Callable[[], Awaitable[Mapping[int, int]]]
"""Tells how far each of several things is."""


class Stalls:
    """Watches counts that should grow all the time, each by itself."""

    def __init__(self, counts: Counts) -> None:
        """Take what is to be asked; `run` asks it."""
        self._counts = counts
        self._at: dict[int, int] = {}
        self._moved: dict[int, float] = {}
        self._longest = 0.0

    async def run(self) -> None:
        """Watch, until cancelled."""
        while True:
            counts = await self._counts()
            now = time.monotonic()
            for key, count in counts.items():
                if self._at.get(key) != count:
                    self._at[key] = count
                    self._longest = max(self._longest, now - self._moved.get(key, now))
                    self._moved[key] = now
            await asyncio.sleep(_LOOK_EVERY_S)

    def begin(self) -> None:
        """Forget what has been; what stands still now has done so since it moved last."""
        self._longest = 0.0

    async def longest(self) -> float:
        """Return for how many seconds one of them stood still since `begin`, at most, as soon as all
        have moved again for a while.
        """
        settled = time.monotonic() + 1.0
        while time.monotonic() < settled or min(self._moved.values()) < settled - 0.5:  # noqa: ASYNC110 - another process works
            await asyncio.sleep(_LOOK_EVERY_S)
        return self._longest
