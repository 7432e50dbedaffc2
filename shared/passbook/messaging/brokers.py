"""Whether the brokers do what they should: who answers, and which partitions lack replicas."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.structs import PartitionMetadata

from passbook.messaging.connections import robust
from passbook.messaging.consumer import ConsumerLost
from passbook.messaging.security import KafkaServers, connection_options

_ANSWER_S: Final = 2.0
"""A broker that is frozen must not make those that follow it look so."""


@dataclass(frozen=True, slots=True)
class Brokers:
    """The brokers that answer, by id, and what is known of the partitions of some topics.

    What is known may be old: when most controllers are gone, a broker that is left goes on to call
    the others leaders and in sync. So only those that answer count.
    """

    alive: frozenset[int]
    partitions: Collection[PartitionMetadata]

    def without_leader(self) -> int:
        """Return how many partitions can be neither read nor written."""
        return sum(one.leader not in self.alive for one in self.partitions)

    def under_replicated(self) -> int:
        """Return how many partitions have a replica that is not in sync."""
        return sum(len(one.isr) < len(one.replicas) for one in self.partitions)

    def below(self, min_insync_replicas: int) -> int:
        """Return in how many partitions nothing is acknowledged that needs so many replicas."""
        return sum(
            len(self.alive.intersection(one.isr)) < min_insync_replicas for one in self.partitions
        )


async def look_at_brokers(kafka: str | KafkaServers, topics: Iterable[str]) -> Brokers:
    """Ask all brokers whether they are there, and one that is for the partitions of the topics.

    Raises:
        ConsumerLost: none answers.
    """
    client = AIOKafkaClient(**connection_options(kafka), request_timeout_ms=int(_ANSWER_S * 1000))
    robust(client)
    try:
        await client.bootstrap()
        if not await client.set_topics(topics):
            message = "no broker tells of its topics"
            raise ConsumerLost(message)
        known = [broker.nodeId for broker in client.cluster.brokers()]
        answers = await asyncio.gather(*(client.ready(node) for node in known))
        partitions = [
            one
            for topic in topics
            for one in client.cluster._partitions.get(topic, {}).values()  # noqa: SLF001 - it tells no replicas
        ]
    except (KafkaError, OSError) as error:
        message = f"Kafka: {error}"
        raise ConsumerLost(message) from error
    finally:
        await client.close()
    alive = {node for node, answers_ in zip(known, answers, strict=True) if answers_}
    return Brokers(frozenset(alive), partitions)
