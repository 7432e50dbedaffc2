"""The parts of one ledger in the test's own process, on real servers: started, stopped, watched."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import SecretStr

from passbook.config import Settings
from passbook.messaging.topics import Topics
from passbook.projection.protocol import Projection
from passbook.projection.service import session as projector_session
from passbook.service import Health
from services.audit_projector.projection import AuditProjection
from services.balance_projector.projection import BalanceProjection
from services.command_service.__main__ import session as command_session
from services.outbox_relay.__main__ import session as relay_session
from tests.support.databases import Database
from tests.support.outsider import Outsider
from tests.support.program import Program
from tests.support.servers import Servers
from tests.support.until import until

Work = Callable[[asyncio.Event, Health], Awaitable[None]]


class Part:
    """One session of a service as a task. `stop` ends it in order, `crash` does not."""

    def __init__(self, work: Work) -> None:
        """Start it."""
        self._stop = asyncio.Event()
        self.health = Health()
        self._task = asyncio.ensure_future(work(self._stop, self.health))

    async def ready(self) -> None:
        """Return when it works; raise what it raised when it ended instead."""
        await until(lambda: self._task.done() or not self.health.reason, 30)
        if self._task.done():
            await self._task

    async def stop(self) -> None:
        """End it in order; raise what it raised."""
        self._stop.set()
        await self._task

    @property
    def ended_with(self) -> BaseException | None:
        """What it raised, if it has."""
        return self._task.exception() if self._task.done() else None

    async def failure(self) -> BaseException | None:
        """Return what it raised, as soon as it has ended."""
        await until(self._task.done, 30)
        return self._task.exception()

    async def crash(self) -> None:
        """Cut it off where it is."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()


@dataclass(frozen=True, slots=True)
class Ledger:
    """A database, topics, and whoever speaks with them from outside."""

    database: Database
    topics: Topics
    kafka: str
    outsider: Outsider

    def settings(self, role: str, dsn: str | None = None) -> Settings:
        """Return what a service that logs in as `role` gets from its environment."""
        login = SecretStr(dsn or self.database.dsn(role))
        return Settings().model_copy(
            update={
                "event_store_dsn": login,
                "read_model_dsn": login,
                "kafka_bootstrap": self.kafka,
                "topic_prefix": self.topics.prefix,
                "topic_partitions": self.topics.partitions,
            }
        )

    def command_service(self, dsn: str | None = None, aside: str = "") -> Work:
        """Return a session of the command service; `aside` are the records it does not look at."""
        settings = self.settings("passbook_command_service", dsn)
        settings = settings.model_copy(update={"commands_set_aside": aside})
        return lambda stop, health: command_session(stop, health, settings)

    def relay(self, dsn: str | None = None, groups: int = 1) -> Work:
        """Return a session of the relay."""
        settings = self.settings("passbook_outbox_relay", dsn)
        settings = settings.model_copy(update={"relay_groups": groups})
        return lambda stop, health: relay_session(stop, health, settings)

    def projector(self, projection: Projection, dsn: str | None = None) -> Work:
        """Return a session of a projector."""
        name = f"{projection.name}-projector"
        settings = self.settings(f"passbook_{projection.name}_projector", dsn)
        return lambda stop, health: projector_session(stop, health, name, projection, settings)

    @property
    def operator(self) -> Program:
        """The program as its operator runs it: with the login that owns both databases."""
        return Program(
            {
                "PASSBOOK_EVENT_STORE_DSN": self.database.admin_dsn,
                "PASSBOOK_KAFKA_BOOTSTRAP": self.kafka,
                "PASSBOOK_TOPIC_PREFIX": self.topics.prefix,
                "PASSBOOK_TOPIC_PARTITIONS": str(self.topics.partitions),
                "PASSBOOK_DATA_DIR": "/nonexistent",
            }
        )

    async def lag(self, topic: str, group: str) -> int:
        """Return how many records of a topic a group has not committed, as lag tools see it."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.kafka,
            group_id=self.topics.prefix + group,
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            parts = [
                TopicPartition(self.topics.prefix + topic, part)
                for part in range(self.topics.partitions)
            ]
            consumer.assign(parts)
            ends = await consumer.end_offsets(parts)
            return sum([ends[part] - (await consumer.committed(part) or 0) for part in parts])
        finally:
            await consumer.stop()

    def balances(self) -> Work:
        """Return a session of the balance projector."""
        return self.projector(BalanceProjection())

    def audit(self) -> Work:
        """Return a session of the audit projector."""
        return self.projector(AuditProjection())


@asynccontextmanager
async def running(work: Work) -> AsyncIterator[Part]:
    """Run a session for as long as the block, from when it is ready to its ordered end."""
    part = Part(work)
    try:
        await part.ready()
        yield part
        await part.stop()
    except AssertionError as failed:
        if part.ended_with is not None:
            failed.add_note(f"the session had ended: {part.ended_with!r}")
        raise
    finally:
        await part.crash()


@pytest.fixture
def ledger(servers: Servers, database: Database, topics: Topics) -> Ledger:
    """Give a ledger in which nothing runs yet."""
    outsider = Outsider(servers.kafka_bootstrap, topics.prefix, topics.partitions)
    return Ledger(database, topics, servers.kafka_bootstrap, outsider)
