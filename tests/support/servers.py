"""One PostgreSQL and one Kafka for the whole test run.

`PASSBOOK_EVENT_STORE_DSN` (a login that may create databases and roles) together with
`PASSBOOK_KAFKA_BOOTSTRAP` select servers that run already; otherwise embedded ones run in a
temporary directory for as long as the session.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from passbook.embedded.servers import embedded_servers


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the servers of this run are: a DSN that may do everything, and `host:port` of Kafka."""

    admin_dsn: str
    kafka_bootstrap: str


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Give the servers of this run.

    Not an async fixture: its servers serve tests whatever event loop these run in.
    """
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        context = _servers()
        yield runner.run(context.__aenter__())
        runner.run(context.__aexit__(None, None, None))


@asynccontextmanager
async def _servers() -> AsyncIterator[Servers]:
    dsn, bootstrap = (
        os.environ.get("PASSBOOK_EVENT_STORE_DSN"),
        os.environ.get("PASSBOOK_KAFKA_BOOTSTRAP"),
    )
    if dsn and bootstrap:
        yield Servers(dsn, bootstrap)
        return
    directory = Path(tempfile.mkdtemp(prefix="passbook-tests-"))
    directory.chmod(0o711)  # when root runs the tests, PostgreSQL runs as nobody
    try:
        async with embedded_servers(directory) as running:
            yield Servers(running.postgres.admin_dsn, running.kafka.bootstrap)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
