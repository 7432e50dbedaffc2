"""Closing a consumer whose broker is away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from passbook.messaging.leaving import close_consumer


class _Client:
    def __init__(self) -> None:
        self.closed = False

    async def close(self) -> None:
        self.closed = True


class _Consumer:
    """One whose `stop` does what it is told before it disconnects."""

    def __init__(self, first: Callable[[], Awaitable[Any]]) -> None:
        self._first = first
        self._client = _Client()

    async def stop(self) -> None:
        await self._first()
        await self._client.close()


async def _of_a_fetch() -> None:
    fetch = asyncio.ensure_future(asyncio.Event().wait())
    await asyncio.sleep(0)
    fetch.cancel()
    await fetch


async def test_a_fetch_that_was_cancelled_does_not_cancel_who_closes() -> None:
    """Seen to fail without the `except`: a service ended with a traceback when its broker was killed."""
    consumer = _Consumer(_of_a_fetch)
    await close_consumer(consumer)
    assert consumer._client.closed


async def test_who_is_cancelled_while_closing_stays_cancelled() -> None:
    consumer = _Consumer(asyncio.Event().wait)
    closing = asyncio.ensure_future(close_consumer(consumer))
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert not consumer._client.closed
