"""Fixtures for every test."""

import signal

pytest_plugins = [
    "tests.support.servers",
    "tests.support.databases",
    "tests.support.topics",
    "tests.support.ledger",
    "tests.support.world",
]

# A shell without job control starts its background jobs with SIGINT ignored, `nohup` ignores SIGHUP,
# and children inherit that: the programs under test would never see them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
