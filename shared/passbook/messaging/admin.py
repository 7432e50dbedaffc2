"""Asking brokers about topics, groups and rights, and telling them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from passbook.messaging.connections import robust
from passbook.messaging.consumer import ConsumerLost
from passbook.messaging.security import KafkaServers, connection_options
from passbook.messaging.unreachable import why_unreachable


@asynccontextmanager
async def kafka_admin(kafka: str | KafkaServers) -> AsyncIterator[AIOKafkaAdminClient]:
    """Open an admin client.

    Raises:
        ConsumerLost: no broker answers, or none lets us in.
        SecurityRefused: the files of the security settings cannot be used.
    """
    admin = AIOKafkaAdminClient(**connection_options(kafka))
    robust(admin._client)  # noqa: SLF001 - it has no name for it
    try:
        await admin.start()
        yield admin
    except KafkaError as error:
        message = f"Kafka: {await why_unreachable(error, kafka)}"
        raise ConsumerLost(message) from error
    finally:
        await admin.close()
