"""Fixtures for every test."""

import signal
from collections.abc import Iterator

import pytest
import structlog

pytest_plugins = [
    "tests.support.servers",
    "tests.support.databases",
    "tests.support.topics",
    "tests.support.ledger",
    "tests.support.world",
    "tests.support.helm",
    "tests.support.secured",
    "tests.support.prometheus",
]

# A shell without job control starts its background jobs with SIGINT ignored, `nohup` ignores SIGHUP,
# and children inherit that: the programs under test would never see them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _logs_as_they_come() -> Iterator[None]:
    """Undo what a test's command line has set: it logs errors only, which the next test's capture
    would find empty.
    """
    yield
    structlog.reset_defaults()
