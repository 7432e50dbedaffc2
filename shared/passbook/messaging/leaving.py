"""Closing a consumer, whatever state its connections are in."""

import asyncio
from typing import Final

from aiokafka import AIOKafkaConsumer

_TIMEOUT_S: Final = 5.0


async def close_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leave the group and disconnect, within five seconds.

    aiokafka cancels the fetches that are under way and waits for them; the cancellation of one that
    had to wait for a broker comes out as if it were the caller's, and before anything is disconnected.
    Source: `Fetcher.close` of aiokafka 0.14.
    """
    task = asyncio.current_task()
    assert task is not None
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            try:
                await consumer.stop()
            except asyncio.CancelledError:
                if task.cancelling():
                    raise
                await consumer._client.close()  # noqa: SLF001 - what `stop` did not come to
    except TimeoutError:
        return
