"""Waiting for servers that are still starting."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from passbook.service import UNAVAILABLE

_PAUSE_S: Final = 0.5

T = TypeVar("T")


async def patiently(work: Callable[[], Awaitable[T]], wait_s: float) -> T:
    """Return what `work` returns; try again, for `wait_s` seconds, while a server does not answer.

    Raises:
        Whatever `work` raises: at once, or what it raised last.
    """
    deadline = time.monotonic() + wait_s
    said = False
    while True:
        try:
            return await work()
        except UNAVAILABLE as error:
            if time.monotonic() + _PAUSE_S > deadline:
                raise
            if not said:
                said = True
                sys.stderr.write(f"passbook: waiting for the server: {error}\n")
            await asyncio.sleep(_PAUSE_S)
