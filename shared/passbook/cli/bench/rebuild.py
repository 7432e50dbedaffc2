"""Rebuild: how fast a read model is built anew from the log, and how long its projector waits."""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
from pydantic import SecretStr

from passbook.cli.bench.environment import peak_rss_mb
from passbook.cli.bench.log import write_log
from passbook.cli.output import err
from passbook.cli.rebuild import rebuilding
from passbook.cli.rebuild_report import document
from passbook.config import Settings
from passbook.embedded.postgres import EmbeddedPostgres
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.preflight import event_store_migrations
from passbook.migrations import apply_migrations
from passbook.projection.copying import Copying
from passbook.projection.protocol import Projection, projection_migrations
from passbook.projection.rebuild import CONNECTIONS
from passbook.service import database_pool
from services.audit_projector.projection import AuditProjection
from services.balance_projector.projection import BalanceProjection

_APPLICATION: Final = "passbook-bench"
_NOT_TOLD: Final = ("differences", "differing", "already", "swapped")


async def measure_rebuild(name: str, events: int, accounts: int) -> dict[str, Any]:
    """Return the report of one run; see `passbook bench rebuild --help`."""
    projection: Projection = AuditProjection() if name == "audit" else BalanceProjection()
    async with _database() as dsn:
        settings = Settings().model_copy(
            update={"event_store_dsn": SecretStr(dsn), "read_model_dsn": SecretStr(dsn)}
        )
        async with database_pool(dsn, _APPLICATION, CONNECTIONS) as pool:
            store = PostgresEventStore(pool)
            with err().status(f"writing {events:,} events of {accounts:,} accounts"):
                await write_log(store, events, accounts)
            with err().status("bringing the live one up to date"):
                await _bring_up_to_date(projection, pool, store)
            # A checkpoint and its full-page writes belong to what was before, not to this run.
            await pool.execute("VACUUM ANALYZE eventstore.events")
            await pool.execute("CHECKPOINT")
        with err().status("rebuilding"):
            async with rebuilding(projection, settings, dsn) as one:
                report = document(name, await one.rebuild())
    told = {field: value for field, value in report.items() if field not in _NOT_TOLD}
    return told | {"rss_mb": await peak_rss_mb(os.getpid())}


async def _bring_up_to_date(
    projection: Projection, pool: asyncpg.Pool, store: PostgresEventStore
) -> None:
    copying = Copying(projection, store, lambda _events: None)
    async with pool.acquire() as connection:
        await copying.load(connection)
    await copying.reach(pool, await store.heads())


@asynccontextmanager
async def _database() -> AsyncIterator[str]:
    """Have a migrated database: on the configured server, or on one that is gone afterwards."""
    configured = Settings().event_store_dsn
    if configured is not None:
        async with _on(configured.get_secret_value()) as dsn:
            yield dsn
        return
    with tempfile.TemporaryDirectory(prefix="passbook-bench-") as name:
        # The embedded PostgreSQL runs as another account when root runs this.
        Path(name).chmod(0o711)  # noqa: ASYNC240 - one call, before anything runs
        postgres = EmbeddedPostgres(Path(name) / "postgres")
        with err().status("starting PostgreSQL"):
            await postgres.start()
        try:
            async with _on(postgres.admin_dsn) as dsn:
                yield dsn
        finally:
            await postgres.stop()


@asynccontextmanager
async def _on(server_dsn: str) -> AsyncIterator[str]:
    database = f"passbook_bench_{uuid4().hex[:12]}"
    owner = await asyncpg.connect(server_dsn)
    await owner.execute(f"CREATE DATABASE {database}")
    dsn = urlunsplit(urlsplit(server_dsn)._replace(path=f"/{database}"))
    try:
        admin = await asyncpg.connect(dsn)
        projections = projection_migrations(BalanceProjection(), AuditProjection())
        await apply_migrations(admin, event_store_migrations() + projections)
        await admin.close()
        yield dsn
    finally:
        await owner.execute(f"DROP DATABASE {database} WITH (FORCE)")
        await owner.close()
