"""Waiting for a condition, with a deadline, instead of for a time."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path


async def until(
    condition: Callable[[], object | Awaitable[object]], deadline_s: float = 10.0
) -> None:
    """Return when the condition, a plain or an async one, is true.

    Raises:
        AssertionError: it was not within the deadline.
    """
    try:
        async with asyncio.timeout(deadline_s):
            while True:
                found = condition()
                if await found if inspect.isawaitable(found) else found:
                    return
                await asyncio.sleep(0.01)
    except TimeoutError:
        message = f"not true within {deadline_s} s: {condition}"
        raise AssertionError(message) from None


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits for its parent does not."""
    return state(pid) not in {"", "Z"}


def state(pid: int) -> str:
    """Return the state of a process as the kernel names it: "T" is stopped; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
