"""Both servers, for development and tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from passbook.embedded.kafka import EmbeddedKafka
from passbook.embedded.postgres import EmbeddedPostgres


@dataclass(frozen=True, slots=True)
class EmbeddedServers:
    """A PostgreSQL and a Kafka that run."""

    postgres: EmbeddedPostgres
    kafka: EmbeddedKafka


@asynccontextmanager
async def embedded_servers(
    data_dir: Path, *, quick_start: bool = True
) -> AsyncIterator[EmbeddedServers]:
    """Run PostgreSQL and Kafka, whose data stays in `data_dir`, for as long as the block.

    Raises:
        EmbeddedError: one of them did not start; the other one was stopped again.
    """
    servers = EmbeddedServers(
        EmbeddedPostgres(data_dir / "postgres"),
        EmbeddedKafka(data_dir / "kafka", quick_start=quick_start),
    )
    try:
        await _start(servers)
        yield servers
    finally:
        async with asyncio.TaskGroup() as group:
            group.create_task(servers.postgres.stop())
            group.create_task(servers.kafka.stop())


async def _start(servers: EmbeddedServers) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(servers.postgres.start())
            group.create_task(servers.kafka.start())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures  # the first one cancelled the other start
