"""What `passbook doctor` says where a migration could not take a right from PUBLIC."""

import asyncpg
import pytest

from passbook.cli.checks.finding import State
from passbook.cli.checks.rights import everybodys
from tests.support.databases import Connect, Database

_TEMPORARY = "GRANT TEMPORARY ON DATABASE {} TO PUBLIC"
_LARGE = "GRANT EXECUTE ON FUNCTION pg_catalog.lo_create(oid) TO PUBLIC"


@pytest.fixture
async def owner(connect: Connect, database: Database) -> asyncpg.Connection:
    """Give the owner of a database as it is after the migrations: a clone has not all of it."""
    connection = await connect()
    await connection.execute(f"REVOKE TEMPORARY ON DATABASE {database.name} FROM PUBLIC")
    return connection


async def test_where_nobody_may_fill_the_disk_nothing_is_told(owner: asyncpg.Connection) -> None:
    assert (await everybodys(owner)).state is State.OK


@pytest.mark.parametrize(
    ("statement", "told"), [(_TEMPORARY, "temporary tables"), (_LARGE, "large objects")]
)
async def test_a_right_that_stayed_is_told(
    owner: asyncpg.Connection, database: Database, statement: str, told: str
) -> None:
    await owner.execute(statement.format(database.name))
    verdict = await everybodys(owner)
    assert verdict.state is State.WARNING
    assert verdict.detail == f"every login may create {told}"
