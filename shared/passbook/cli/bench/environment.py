"""Where a measurement runs: servers, a database and topics of its own, and the real services."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
from pydantic import SecretStr

from passbook.cli.output import err
from passbook.config import Settings
from passbook.embedded.datadir import DataDir
from passbook.embedded.endpoints import Endpoints
from passbook.embedded.servers import embedded_servers
from passbook.embedded.service_logs import folder_sink
from passbook.embedded.service_process import ServiceSpec
from passbook.embedded.supervisor import Supervisor
from passbook.eventstore.preflight import event_store_migrations
from passbook.messaging.admin import kafka_admin
from passbook.messaging.topics import apply_topics
from passbook.migrations import apply_migrations
from passbook.projection.protocol import projection_migrations
from services.audit_projector.projection import AuditProjection
from services.balance_projector.projection import BalanceProjection

FOLLOWERS: Final = ("outbox-relay", "balance-projector", "audit-projector")
COMMAND_SERVICE: Final = "command-service"
_READY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Environment:
    """What one measurement has to itself."""

    settings: Settings
    admin: asyncpg.Connection
    folder: Path

    @asynccontextmanager
    async def services(self, names: Sequence[str], **settings: str) -> AsyncIterator[Supervisor]:
        """Run services as processes for as long as the block, with further `settings` in their
        environment; they are ready when it starts.
        """
        data_dir = DataDir(self.folder / names[0])
        data_dir.create()
        specs = [self.spec(name, **settings) for name in names]
        endpoints = Endpoints(
            kafka_bootstrap=self.settings.kafka.bootstrap,
            event_store_dsn=self.settings.event_store,
            read_model_dsn=self.settings.read_model,
        )
        with data_dir.hold():
            async with Supervisor(
                data_dir, endpoints, specs, folder_sink(data_dir.logs)
            ) as supervisor:
                await supervisor.wait_ready(_READY_S)
                yield supervisor

    def spec(self, name: str, **settings: str) -> ServiceSpec:
        """Return how to run a service here, with further `settings` in its environment."""
        environment = {
            "PASSBOOK_EVENT_STORE_DSN": self.settings.event_store,
            "PASSBOOK_READ_MODEL_DSN": self.settings.read_model,
            **self.settings.kafka_environment,
            "PASSBOOK_TOPIC_PREFIX": self.settings.topic_prefix,
            "PASSBOOK_LOG_FORMAT": "json",
            **settings,
        }
        command = (sys.executable, "-P", "-m", f"services.{name.replace('-', '_')}")
        return ServiceSpec(name, command, env=environment)


@dataclass(frozen=True, slots=True)
class Servers:
    """A PostgreSQL and a Kafka to measure on, and a folder for what runs there."""

    settings: Settings
    dsn: str
    folder: Path


@asynccontextmanager
async def bench_servers() -> AsyncIterator[Servers]:
    """Have servers: the configured ones when both are set, embedded ones that are gone afterwards
    otherwise.
    """
    configured = Settings()
    with tempfile.TemporaryDirectory(prefix="passbook-bench-") as name:
        folder = Path(name)
        # The embedded PostgreSQL runs as another account when root runs this.
        folder.chmod(0o711)  # noqa: ASYNC240 - one call, before anything runs
        if configured.event_store_dsn is not None and configured.kafka_bootstrap is not None:
            yield Servers(configured, configured.event_store, folder)
            return
        async with AsyncExitStack() as stack:
            with err().status("starting PostgreSQL and Kafka"):
                running = await stack.enter_async_context(embedded_servers(folder / "servers"))
            settings = configured.with_embedded_kafka(running.kafka.bootstrap)
            yield Servers(settings, running.postgres.admin_dsn, folder)


@asynccontextmanager
async def bench_environment(servers: Servers) -> AsyncIterator[Environment]:
    """Have a migrated database and topics whose names nobody else uses."""
    settings, dsn = servers.settings, servers.dsn
    mark = uuid4().hex[:12]
    database = f"passbook_bench_{mark}"
    owner = await asyncpg.connect(dsn)
    await owner.execute(f"CREATE DATABASE {database}")
    own_dsn = urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))
    settings = settings.model_copy(
        update={
            "event_store_dsn": SecretStr(own_dsn),
            "read_model_dsn": SecretStr(own_dsn),
            "topic_prefix": f"bench-{mark}.",
        }
    )
    admin = await asyncpg.connect(own_dsn)
    try:
        projections = projection_migrations(BalanceProjection(), AuditProjection())
        await apply_migrations(admin, event_store_migrations() + projections)
        async with kafka_admin(settings.kafka) as kafka:
            await apply_topics(kafka, settings.topics)
            try:
                yield Environment(settings, admin, servers.folder / mark)
            finally:
                await kafka.delete_topics([spec.name for spec in settings.topics.specs()])
    finally:
        await admin.close()
        await owner.execute(f"DROP DATABASE {database} WITH (FORCE)")
        await owner.close()


async def peak_rss_mb(pid: int) -> float:
    """Return the most memory a process has had resident, in MB. Source: proc(5), VmHWM."""

    def read() -> str:
        return Path(f"/proc/{pid}/status").read_text("ascii")

    fields = dict(line.split(":", 1) for line in (await asyncio.to_thread(read)).splitlines())
    return round(int(fields["VmHWM"].split()[0]) / 1024, 1)
