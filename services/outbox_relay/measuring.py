"""What is measured of the servers themselves, by one relay for all: how full PostgreSQL is and what it
does, and whether Kafka is whole.

It takes no right that the relay has not anyway, and what cannot be measured is nobody's problem but
the operator's: nothing here ends a session.
"""

import asyncio
from typing import Final

import asyncpg
from prometheus_client import Counter

from passbook.eventstore.errors import StoreUnavailable
from passbook.eventstore.pool import FAILURES, lent
from passbook.messaging.brokers import look_at_brokers
from passbook.messaging.consumer import ConsumerLost
from passbook.messaging.security import KafkaServers, SecurityRefused
from passbook.messaging.topics import Topics
from passbook.series import exported
from passbook.telemetry import (
    KAFKA_BROKERS,
    KAFKA_OFFLINE,
    KAFKA_UNDER_MIN_ISR,
    KAFKA_UNDERREPLICATED,
    POSTGRES_BLOCKS_HIT,
    POSTGRES_BLOCKS_READ,
    POSTGRES_BYTES,
    POSTGRES_COMMITS,
    POSTGRES_CONNECTIONS,
    POSTGRES_CONNECTIONS_LIMIT,
    POSTGRES_DEADLOCKS,
    POSTGRES_ROLLBACKS,
    SERVERS,
)
from services.outbox_relay.leadership import Leadership

# Connections are counted over all databases: they share the limit.
_DATABASE: Final = """
SELECT (SELECT sum(numbackends) FROM pg_stat_database)::bigint AS connections,
       current_setting('max_connections')::bigint AS connections_limit,
       pg_database_size(datid) AS bytes,
       xact_commit, xact_rollback, deadlocks, blks_read, blks_hit
  FROM pg_stat_database WHERE datname = current_database()
"""
_EVERY_S: Final = 15.0
_LOOK_EVERY_S: Final = 1.0
_TIMEOUT_S: Final = 5.0
# Frozen brokers are asked one after the other, until one answers.
_KAFKA_TIMEOUT_S: Final = 10.0
_COUNTERS: Final = (
    ("xact_commit", POSTGRES_COMMITS),
    ("xact_rollback", POSTGRES_ROLLBACKS),
    ("deadlocks", POSTGRES_DEADLOCKS),
    ("blks_read", POSTGRES_BLOCKS_READ),
    ("blks_hit", POSTGRES_BLOCKS_HIT),
)


class Measuring:
    """Measures PostgreSQL and Kafka for as long as this relay leads the first group."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        kafka: str | KafkaServers,
        topics: Topics,
        leadership: Leadership,
    ) -> None:
        """Take the pool, where Kafka is, and who leads."""
        self._pool = pool
        self._kafka = kafka
        self._topics = [spec.name for spec in topics.specs()]
        self._min_insync_replicas = topics.min_insync_replicas
        self._leadership = leadership
        self._counted: dict[str, int] = {}

    async def run(self) -> None:
        """Measure every 15 seconds, until cancelled."""
        while True:
            if self._leading():
                with exported(SERVERS):
                    await self._while_leading()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _while_leading(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while self._leading():
            if loop.time() >= due:
                await self.measure()
                due = loop.time() + _EVERY_S
            await asyncio.sleep(_LOOK_EVERY_S)

    def _leading(self) -> bool:
        try:
            return 0 in self._leadership.groups
        except StoreUnavailable:
            return False

    async def measure(self) -> None:
        """Measure both, once. Of a PostgreSQL that does not answer the last figures stay; of a Kafka
        that does not, there are no brokers.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._measure_postgres())
            tasks.create_task(self._measure_kafka())

    async def _measure_postgres(self) -> None:
        try:
            async with lent(self._pool, _TIMEOUT_S) as connection:
                row = await connection.fetchrow(_DATABASE)
        except FAILURES:
            return
        POSTGRES_CONNECTIONS.set(row["connections"])
        POSTGRES_CONNECTIONS_LIMIT.set(row["connections_limit"])
        POSTGRES_BYTES.set(row["bytes"])
        for column, counter in _COUNTERS:
            self._count(counter, column, row[column])

    def _count(self, counter: Counter, column: str, now: int) -> None:
        """Add what came since the last look; everything, when somebody has reset the statistics."""
        before = self._counted.get(column, now)
        counter.inc(now - before if now >= before else now)
        self._counted[column] = now

    async def _measure_kafka(self) -> None:
        try:
            async with asyncio.timeout(_KAFKA_TIMEOUT_S):
                brokers = await look_at_brokers(self._kafka, self._topics)
        except (ConsumerLost, SecurityRefused, TimeoutError):
            KAFKA_BROKERS.set(0)
            return
        KAFKA_BROKERS.set(len(brokers.alive))
        KAFKA_OFFLINE.set(brokers.without_leader())
        KAFKA_UNDERREPLICATED.set(brokers.under_replicated())
        KAFKA_UNDER_MIN_ISR.set(brokers.below(self._min_insync_replicas))
