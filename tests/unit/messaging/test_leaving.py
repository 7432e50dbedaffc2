"""Closing a consumer whose broker is away."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from passbook.messaging import leaving
from passbook.messaging.leaving import close_consumer


class _Connection:
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


class _Consumer:
    """One whose `stop` does what it is told before it disconnects."""

    def __init__(self, first: Callable[[], Awaitable[Any]]) -> None:
        self._first = first
        self.connection = _Connection()
        self._client = SimpleNamespace(_conns={1: self.connection}, _sync_task=None)
        self._fetcher = SimpleNamespace(_fetch_task=asyncio.ensure_future(asyncio.Event().wait()))

    async def stop(self) -> None:
        await self._first()
        self.connection.close()


async def _of_a_fetch() -> None:
    fetch = asyncio.ensure_future(asyncio.Event().wait())
    await asyncio.sleep(0)
    fetch.cancel()
    await fetch


async def test_a_fetch_that_was_cancelled_does_not_cancel_who_closes() -> None:
    """Seen to fail when `stop` is awaited as it is: a service ended with a traceback when its broker was killed."""
    consumer = _Consumer(_of_a_fetch)
    await close_consumer(consumer)
    assert consumer.connection.closed


async def test_a_broker_that_hangs_leaves_no_task_and_no_connection_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It does not answer that the group is left. Seen to fail: what fetches, and its buffers, stayed."""
    monkeypatch.setattr(leaving, "_TIMEOUT_S", 0.01)
    consumer = _Consumer(asyncio.Event().wait)
    await close_consumer(consumer)
    await asyncio.sleep(0)
    assert consumer.connection.closed
    assert consumer._fetcher._fetch_task.cancelled()


async def test_who_is_cancelled_while_closing_stays_cancelled() -> None:
    consumer = _Consumer(asyncio.Event().wait)
    closing = asyncio.ensure_future(close_consumer(consumer))
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert not consumer.connection.closed
