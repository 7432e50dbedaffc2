"""Finding brokers again whose addresses are not known any more.

aiokafka asks the brokers it knows who else is there, at most every five minutes when nothing fails. A
client that asked while only one of them was up knows only that one; when it goes down later, the client
asks nobody else, for ever, and a service whose brokers are well stands still. So when no known broker
answers, the ones it was started with are asked. Source: KIP-899, which does it for Java's clients.
"""

from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError


def rebootstrapping(client: AIOKafkaClient) -> None:
    """Have a client, of a consumer or a producer, ask its bootstrap servers when all else fails."""
    update = client._metadata_update  # noqa: SLF001 - aiokafka has no setting for it

    async def update_or_bootstrap(cluster: Any, topics: Any) -> bool:
        if await update(cluster, topics):
            return True
        try:
            await client.bootstrap()
        except KafkaError:
            return False
        # Which knows the brokers now, and nothing of the topics.
        updated: bool = await update(cluster, topics)
        return updated

    client._metadata_update = update_or_bootstrap  # noqa: SLF001 - as above
