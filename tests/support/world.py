"""A ledger of one test's own: a database, topics, and the services as processes on them."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg
import pytest
from pydantic import SecretStr

from passbook.cli.bench.environment import Environment
from passbook.cli.bench.workload import Expectation, publish_backlog
from passbook.cli.logins import OF_SERVICE
from passbook.config import Settings
from passbook.messaging.producer import Producer
from passbook.messaging.topics import Topics
from tests.support.databases import Connect, Database
from tests.support.outsider import Outsider
from tests.support.processes import ServiceProcess
from tests.support.program import Program
from tests.support.servers import Servers
from tests.support.until import until

COMMAND_SERVICE: Final = "command-service"
RELAY: Final = "outbox-relay"
BALANCES: Final = "balance-projector"
AUDIT: Final = "audit-projector"
SERVICES: Final = (COMMAND_SERVICE, RELAY, BALANCES, AUDIT)
SESSION_TIMEOUT_S: Final = 6
"""The shortest there is: how long a killed service's partitions stay idle."""

_STORED: Final = "SELECT sum(head)::bigint FROM eventstore.slots"
_NOTED: Final = "SELECT coalesce(sum(published_seq), 0)::bigint FROM eventstore.relay_positions"
_DECIDED: Final = "SELECT count(*) FROM eventstore.commands"
_APPLIED: Final = """
SELECT coalesce(sum(slot_seq), 0)::bigint FROM projections.positions WHERE projection = $1
"""
_IDLE_IN_TRANSACTION: Final = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = $1 AND state = 'idle in transaction'
"""


Progress = Callable[[], Awaitable[int]]
"""Tells how far something is."""


def at_least(progress: Progress, number: int) -> Callable[[], Awaitable[bool]]:
    """Return the condition that something is this far."""

    async def reached() -> bool:
        return await progress() >= number

    return reached


@dataclass(slots=True)
class World:
    """What one test has to itself. Every service logs in with the login that is meant for it."""

    database: Database
    admin: asyncpg.Connection
    kafka: str
    topics: Topics
    folder: Path
    outsider: Outsider
    processes: list[ServiceProcess] = field(default_factory=list)
    _one_query: asyncio.Lock = field(default_factory=asyncio.Lock)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def start(
        self, name: str, *, dsn: str | None = None, module: str = "", **environment: str
    ) -> ServiceProcess:
        """Start a process of a service, which is not ready yet. `dsn` replaces that of both
        databases, `module` what is run; further settings are added to its environment.
        """
        dsn = dsn or self.dsn(name)
        process = ServiceProcess(
            name,
            {
                "PASSBOOK_EVENT_STORE_DSN": dsn,
                "PASSBOOK_READ_MODEL_DSN": dsn,
                "PASSBOOK_KAFKA_BOOTSTRAP": self.kafka,
                "PASSBOOK_TOPIC_PREFIX": self.topics.prefix,
                "PASSBOOK_TOPIC_PARTITIONS": str(self.topics.partitions),
                "PASSBOOK_KAFKA_SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S),
                "PASSBOOK_HTTP_PORT": "0",  # a free one
                **environment,
            },
            self.folder / f"{next(self._numbers):02}-{name}.log",
            module,
        )
        self.processes.append(process)
        return process

    def dsn(self, name: str) -> str:
        """Return the DSN that is meant for a service."""
        return self.database.dsn(OF_SERVICE[name])

    def running(self, name: str) -> ServiceProcess:
        """Return the only process of a service that runs."""
        (process,) = [p for p in self.processes if p.name == name and p.exit_code is None]
        return process

    async def run(self, *names: str) -> list[ServiceProcess]:
        """Start a process of each of these services and return when all are ready."""
        started = [self.start(name) for name in names]
        for process in started:
            await process.ready()
        return started

    async def backlog(
        self, commands: int, accounts: int, before: Expectation | None = None
    ) -> Expectation:
        """Publish commands; return what has to come of them and of those `before`."""
        async with Producer(self.kafka, client_id="backlog") as producer:
            return await publish_backlog(producer, self.topics, commands, accounts, before=before)

    @asynccontextmanager
    async def load(self, per_second: int) -> AsyncIterator[Expectation]:
        """Publish commands evenly for as long as the block; what has to come of them all is known
        at its end.
        """
        expected = Expectation()
        enough = asyncio.Event()

        async def publish() -> None:
            every_s = 0.05
            async with Producer(self.kafka, client_id="load") as producer:
                for seed in itertools.count():
                    if enough.is_set():
                        return
                    some = round(per_second * every_s)
                    await publish_backlog(
                        producer, self.topics, some, some, seed=seed, before=expected
                    )
                    await asyncio.sleep(every_s)

        async with asyncio.TaskGroup() as group:
            group.create_task(publish())
            try:
                yield expected
            finally:
                enough.set()

    async def decided(self) -> int:
        """Return how many commands are decided."""
        return await self._count(_DECIDED)

    async def stored(self) -> int:
        """Return how many events the log has."""
        return await self._count(_STORED)

    async def noted(self) -> int:
        """Return how many published events the relay has written down, which it does once a second."""
        return await self._count(_NOTED)

    async def applied(self, projection: str) -> int:
        """Return how many events a projection has applied."""
        return await self._count(_APPLIED, projection)

    async def in_transaction(self, service: str) -> bool:
        """Tell whether a session of a service has a transaction open and nothing to do in it."""
        return await self._count(_IDLE_IN_TRANSACTION, service) > 0

    async def _count(self, query: str, *arguments: object) -> int:
        async with self._one_query:  # a connection does one thing at a time
            count: int = await self.admin.fetchval(query, *arguments)
        return count

    async def current(self, events: int, deadline_s: float = 60.0) -> None:
        """Return when both read models have applied this many events."""

        async def is_current() -> bool:
            return min(await self.applied("balance"), await self.applied("audit")) >= events

        await until(is_current, deadline_s)

    @property
    def operator(self) -> Program:
        """The program as its operator runs it: with the login that owns both databases."""
        return Program(
            {
                "PASSBOOK_EVENT_STORE_DSN": self.database.admin_dsn,
                "PASSBOOK_KAFKA_BOOTSTRAP": self.kafka,
                "PASSBOOK_TOPIC_PREFIX": self.topics.prefix,
                "PASSBOOK_TOPIC_PARTITIONS": str(self.topics.partitions),
                "PASSBOOK_DATA_DIR": str(self.folder / "none"),
            }
        )

    @property
    def environment(self) -> Environment:
        """The same, as the benchmark's checks want it."""
        owner = SecretStr(self.database.admin_dsn)
        settings = Settings().model_copy(
            update={
                "event_store_dsn": owner,
                "read_model_dsn": owner,
                "kafka_bootstrap": self.kafka,
                "topic_prefix": self.topics.prefix,
                "topic_partitions": self.topics.partitions,
            }
        )
        return Environment(settings, self.admin, self.folder)


@asynccontextmanager
async def cleared(world: World) -> AsyncIterator[World]:
    """Leave no process behind."""
    try:
        yield world
    finally:
        for process in world.processes:
            process.thaw()
            await process.kill()


@pytest.fixture
async def world(
    servers: Servers, database: Database, topics: Topics, connect: Connect, tmp_path: Path
) -> AsyncIterator[World]:
    """Give a ledger without a running service; processes that the test leaves are killed."""
    outsider = Outsider(servers.kafka_bootstrap, topics.prefix, topics.partitions)
    world = World(database, await connect(), servers.kafka_bootstrap, topics, tmp_path, outsider)
    async with cleared(world):
        yield world
