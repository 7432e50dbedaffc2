"""What other people's code imports from the package itself."""

import subprocess
import sys

import pytest

import passbook


@pytest.mark.parametrize(
    "name",
    [
        *("BankAccount", "AccountStatus", "AccountError", "Event"),
        *("AccountOpened", "MoneyDeposited", "MoneyWithdrawn", "AccountFrozen", "AccountClosed"),
        *("PostgresEventStore", "InMemoryEventStore", "AccountRepository"),
        *("SnapshotStore", "PostgresSnapshotStore", "InMemorySnapshotStore", "Snapshot"),
        "SnapshottingAccountRepository",
        *("AccountNotFound", "ConcurrencyError", "EventUpcaster"),
    ],
)
def test_the_names_of_the_contract_are_there(name: str) -> None:
    assert name in passbook.__all__
    assert getattr(passbook, name).__name__ == name


def test_everything_that_is_announced_exists() -> None:
    assert all(hasattr(passbook, name) for name in passbook.__all__)
    assert sorted(passbook.__all__) == passbook.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'passbook' has no attribute 'Bnak'"):
        passbook.Bnak  # noqa: B018 - asking is the test


def test_the_import_is_light() -> None:
    heavy = "asyncpg aiokafka pydantic structlog orjson prometheus_client asyncio"
    code = f"import sys, passbook; print([m for m in '{heavy}'.split() if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert found.stdout == "[]\n"
