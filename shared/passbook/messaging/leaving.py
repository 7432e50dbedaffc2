"""Closing a consumer, whatever state its connections are in."""

import asyncio
from typing import Final

from aiokafka import AIOKafkaConsumer

_TIMEOUT_S: Final = 5.0
_DISCONNECT_S: Final = 0.5


async def close_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leave the group and disconnect, within six seconds.

    aiokafka cancels the fetches that are under way and waits for them; the cancellation of one that
    had to wait for a broker comes out as if it were the caller's, and before anything is disconnected.
    A broker that hangs does not even let it come so far.
    Source: `AIOKafkaConsumer.stop` and `Fetcher.close` of aiokafka 0.14.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    try:
        await asyncio.wait([stopping], timeout=_TIMEOUT_S)
    finally:
        stopping.cancel()
    await asyncio.wait([stopping], timeout=_DISCONNECT_S)
    if stopping.cancelled() or not stopping.done():
        _disconnect(consumer)
    elif error := stopping.exception():
        raise error


def _disconnect(consumer: AIOKafkaConsumer) -> None:
    """Do what `stop` did not come to, without waiting for the broker."""
    fetcher, client = consumer._fetcher, consumer._client  # noqa: SLF001 - it has no name for them
    tasks = [client._sync_task, fetcher and fetcher._fetch_task]  # noqa: SLF001 - as above
    for task in filter(None, tasks):
        task.cancel()
    for connection in client._conns.values():  # noqa: SLF001 - as above
        connection.close()
