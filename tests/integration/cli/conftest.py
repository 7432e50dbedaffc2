"""A ledger with a few accounts, and the program that looks at it."""

from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from passbook.domain.account import BankAccount
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.repository import AccountRepository
from services.audit_projector.projection import AuditProjection
from services.balance_projector.projection import BalanceProjection
from tests.support.accounts import busy
from tests.support.databases import Database, OpenPool
from tests.support.deciding import deciding
from tests.support.program import Program
from tests.support.projected import project
from tests.support.servers import Servers

__all__ = ["deciding"]


@pytest.fixture
def program(database: Database, servers: Servers, tmp_path: Path) -> Program:
    """Give the program on the test's database, with the logins it is meant to have."""
    return Program(
        {
            "PASSBOOK_EVENT_STORE_DSN": database.dsn("passbook_command_service"),
            "PASSBOOK_READ_MODEL_DSN": database.dsn("passbook_reader"),
            "PASSBOOK_KAFKA_BOOTSTRAP": servers.kafka_bootstrap,
            "PASSBOOK_DATA_DIR": str(tmp_path / "none"),
        }
    )


@pytest.fixture
async def owner(pools: OpenPool) -> asyncpg.Pool:
    """Give a pool that may do everything."""
    return await pools()


@pytest.fixture
def repository(owner: asyncpg.Pool) -> AccountRepository:
    """Give what saves accounts to the test's event store."""
    return AccountRepository(PostgresEventStore(owner))


@pytest.fixture
def catch_up(owner: asyncpg.Pool) -> Callable[[], object]:
    """Give a coroutine function that brings both read models up to date."""

    async def catch_up() -> None:
        await project(owner, BalanceProjection(), AuditProjection())

    return catch_up


@pytest.fixture
async def account(repository: AccountRepository) -> BankAccount:
    """Give a stored account of Ada's: opened with 100.00, then two deposits of 1.00."""
    account = busy(movements=2)
    await repository.save(account)
    return account
