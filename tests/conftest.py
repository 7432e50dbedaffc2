"""Fixtures for every test."""

pytest_plugins = [
    "tests.support.servers",
    "tests.support.databases",
    "tests.support.topics",
    "tests.support.ledger",
    "tests.support.world",
]
