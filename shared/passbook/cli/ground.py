"""The servers that services stand on, ready for them: embedded unless configured, migrated, with
topics, and with a password for every login.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from passbook.cli.keeper import Say, kept
from passbook.cli.logins import OF_SERVICE, READER, login_dsn, set_passwords
from passbook.cli.setup import apply_schema, create
from passbook.config import Settings
from passbook.embedded.datadir import DataDir
from passbook.embedded.endpoints import Endpoints
from passbook.embedded.kafka import EmbeddedKafka
from passbook.embedded.postgres import EmbeddedPostgres


@dataclass(frozen=True, slots=True)
class Ground:
    """Servers that are ready. `owner` is the DSN of the embedded database's owner, or None."""

    data_dir: DataDir
    settings: Settings
    owner: str | None

    def dsns(self, role: str) -> tuple[str, str]:
        """Return the DSNs of the event store and of the read models for a login.

        With servers of one's own these are the configured ones, whatever the login.
        """
        own = self.settings
        login = self.owner and login_dsn(self.owner, role, self.data_dir)
        event_store = login or own.event_store
        read_model = own.read_model_dsn.get_secret_value() if own.read_model_dsn else event_store
        return event_store, read_model

    @property
    def endpoints(self) -> Endpoints:
        """Where everything is, for other terminals; the services are the supervisor's to add."""
        event_store, _ = self.dsns(OF_SERVICE["command-service"])
        _, read_model = self.dsns(READER)
        return Endpoints(
            self.settings.kafka.bootstrap,
            event_store,
            read_model,
            self.owner,
            topic_prefix=self.settings.topic_prefix,
            topic_partitions=self.settings.topic_partitions,
        )


@asynccontextmanager
async def prepared_ground(
    data_dir: DataDir, say: Say, *, quick_start: bool
) -> AsyncIterator[Ground]:
    """Have the servers for the length of the block; those that were started here end with it.

    Raises:
        EmbeddedError, StoreUnavailable, ConsumerLost: a server does not start, or answer.
        MigrationError, TopicMismatch, CommandFailed: it does not fit, or may not be changed.
    """
    settings = Settings().model_copy(update={"data_dir": data_dir.path})
    postgres = EmbeddedPostgres(data_dir.postgres) if settings.event_store_dsn is None else None
    kafka = (
        EmbeddedKafka(data_dir.kafka, quick_start=quick_start)
        if settings.kafka_bootstrap is None
        else None
    )
    try:
        async with asyncio.TaskGroup() as group:
            database = group.create_task(_database(data_dir, settings, postgres, say))
            broker = group.create_task(_broker(settings, kafka, say))
        started = {"PostgreSQL": postgres, "Kafka": kafka}
        async with kept({name: one for name, one in started.items() if one is not None}, say):
            yield Ground(data_dir, broker.result(), database.result())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures  # the first one cancelled the others
    finally:
        async with asyncio.TaskGroup() as group:
            for server in (postgres, kafka):
                if server is not None:
                    group.create_task(server.stop())


async def _database(
    data_dir: DataDir, settings: Settings, postgres: EmbeddedPostgres | None, say: Say
) -> str | None:
    """Have a migrated database, and return the DSN of its owner if it is embedded."""
    if postgres is not None:
        await postgres.start()
        say(f"PostgreSQL on port {postgres.port}")
    owner = postgres.admin_dsn if postgres is not None else None
    event_store = owner or settings.event_store
    configured = settings.read_model_dsn
    read_model = configured.get_secret_value() if configured is not None else event_store
    scripts = await apply_schema(event_store, read_model)
    if scripts:
        say(f"{len(scripts)} migrations applied")
    if owner is not None:
        await set_passwords(owner, data_dir)
    return owner


async def _broker(settings: Settings, kafka: EmbeddedKafka | None, say: Say) -> Settings:
    """Have a broker with the topics, and return settings that name it."""
    if kafka is not None:
        await kafka.start()
        say(f"Kafka on port {kafka.port}")
        settings = settings.with_embedded_kafka(kafka.bootstrap)
    specs = await create(settings)
    if specs:
        say(f"{len(specs)} topics created")
    return settings
