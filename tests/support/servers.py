"""One PostgreSQL and one Kafka for the whole test run.

`PASSBOOK_EVENT_STORE_DSN` (a login that may create databases and roles) together with
`PASSBOOK_KAFKA_BOOTSTRAP` select servers that run already. Otherwise they run for as long as the
session: in containers where a docker engine answers, else embedded, in a temporary directory.
`PASSBOOK_TEST_SERVERS` says `containers` or `embedded` instead.
"""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from passbook.embedded.servers import embedded_servers
from tests.support.containers import containers, engine_answers


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the servers of this run are: a DSN that may do everything, and `host:port` of Kafka."""

    admin_dsn: str
    kafka_bootstrap: str


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Give the servers of this run.

    Not an async fixture: these servers serve tests whatever event loop those run in.
    """
    dsn = os.environ.get("PASSBOOK_EVENT_STORE_DSN")
    bootstrap = os.environ.get("PASSBOOK_KAFKA_BOOTSTRAP")
    if dsn and bootstrap:
        yield Servers(dsn, bootstrap)
        return
    chosen = os.environ.get("PASSBOOK_TEST_SERVERS", "")
    assert chosen in {"", "containers", "embedded"}, f"PASSBOOK_TEST_SERVERS is {chosen}"
    if chosen == "containers" or (not chosen and engine_answers()):
        with containers() as (dsn, bootstrap):
            yield Servers(dsn, bootstrap)
        return
    # Given a factory, the runner leaves the thread's current event loop, which is pytest's, alone.
    new_loop = asyncio.new_event_loop
    with open_directory() as directory, asyncio.Runner(loop_factory=new_loop) as runner:
        embedded = embedded_servers(directory)
        running = runner.run(embedded.__aenter__())
        try:
            yield Servers(running.postgres.admin_dsn, running.kafka.bootstrap)
        finally:
            runner.run(embedded.__aexit__(None, None, None))


@contextmanager
def open_directory() -> Iterator[Path]:
    """Give a temporary directory which the account that root runs PostgreSQL as may enter."""
    with tempfile.TemporaryDirectory(prefix="passbook-tests-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory
