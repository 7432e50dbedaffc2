"""Finding brokers again whose addresses are not known any more.

aiokafka asks the brokers it knows who else is there, at most every five minutes when nothing fails. A
client that asked while only one of them was up knows only that one; when it goes down later, the client
asks nobody else, for ever, and a service whose brokers are well stands still. So when no known broker
answers, the ones it was started with are asked. Source: KIP-899, which does it for Java's clients.
"""

from collections.abc import Collection
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata


def rebootstrapping(client: AIOKafkaClient) -> None:
    """Have a client, of a consumer or a producer, ask its bootstrap servers when all else fails.

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


def _bootstrap_brokers(client: AIOKafkaClient) -> dict[str, Any]:
    servers = [f"{host}:{port}" for host, port, _ in client.hosts]
    return dict(ClusterMetadata(bootstrap_servers=servers)._bootstrap_brokers)  # noqa: SLF001 - as above
