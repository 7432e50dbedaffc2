"""How aiokafka's clients find brokers again, and how they hang up.

It asks the brokers it knows who else is there, at most every five minutes when nothing fails. A client
that asked while only one of them was up knows only that one; when it goes down later, the client asks
nobody else, for ever, and a service whose brokers are well stands still. So when no known broker answers,
the ones it was started with are asked. Source: KIP-899, which does it for Java's clients.

It waits until the other side has hung up, too. Over TLS under uvloop that can take half a minute, while
the broker has a request in hand.
"""

import asyncio
from collections.abc import Collection
from typing import Any, Final

from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata

_HANG_UP_S: Final = 0.2


def robust(client: AIOKafkaClient) -> None:
    """Have a client, whatever it is a part of, ask its bootstrap servers when all else fails, and close
    at once.

    What it knows of topics stays until it is told something else: a consumer whose topic is unknown
    for a moment joins its group anew, or takes the topic for lost.
    """
    update = client._metadata_update  # noqa: SLF001 - aiokafka has no setting for it

    async def update_or_bootstrap(answer: ClusterMetadata, topics: Collection[str]) -> bool:
        if await update(answer, topics):
            return True
        cluster: Any = client.cluster
        known, asked = cluster._brokers, _bootstrap_brokers(client)  # noqa: SLF001 - as above
        cluster._brokers = asked  # noqa: SLF001 - as above
        try:
            updated: bool = await update(answer, topics)
        finally:
            if cluster._brokers is asked:  # noqa: SLF001 - as above
                cluster._brokers = known  # noqa: SLF001 - as above
        return updated

    client._metadata_update = update_or_bootstrap  # noqa: SLF001 - as above
    client.close = lambda: hang_up(client)


async def hang_up(client: AIOKafkaClient) -> None:
    """Close the connections, which have nothing to send any more, within a fifth of a second."""
    if client._sync_task is not None:  # noqa: SLF001 - as above
        client._sync_task.cancel()  # noqa: SLF001 - as above
        await asyncio.wait([client._sync_task])  # noqa: SLF001 - as above
        client._sync_task = None  # noqa: SLF001 - as above
    connections = list(client._conns.values())  # noqa: SLF001 - as above
    open_ones = [one._writer.transport for one in connections if one._writer is not None]  # noqa: SLF001 - as above
    closed = [one.close() for one in connections]
    if closed:
        await asyncio.wait(closed, timeout=_HANG_UP_S)
        for transport in open_ones:
            transport.abort()  # of one that is closed already, nothing


def _bootstrap_brokers(client: AIOKafkaClient) -> dict[str, Any]:
    servers = [f"{host}:{port}" for host, port, _ in client.hosts]
    return dict(ClusterMetadata(bootstrap_servers=servers)._bootstrap_brokers)  # noqa: SLF001 - as above
