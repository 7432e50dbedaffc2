"""Who holds appends up is found as deploy/README.md says, and ended."""

import asyncio
import re
from pathlib import Path
from typing import Final

import asyncpg

from passbook.eventstore.pool import open_pool
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.repository import AccountRepository
from tests.support.accounts import opened
from tests.support.databases import Connect, Database
from tests.support.until import until

_TEXT: Final = (Path(__file__).parents[3] / "deploy" / "README.md").read_text("utf-8")
_EVERY_SLOT: Final = (
    "SELECT eventstore.settle(slot, clock_timestamp() - interval '1s') FROM eventstore.slots"
)
_UNBOUNDED: Final = "SET idle_in_transaction_session_timeout = 0"


def _told() -> str:
    """Return the statement that deploy/README.md tells."""
    (statement,) = re.findall(r"^SELECT .*pg_blocking_pids.*$", _TEXT, re.MULTILINE)
    return str(statement)


async def test_who_settled_and_stays_is_found_and_ended(
    database: Database, connect: Connect
) -> None:
    """Seen to fail when the reader had settled nothing, and so held nobody up."""
    owner, reader = await connect(), await connect("passbook_reader")
    await reader.execute(_UNBOUNDED)
    await reader.execute("BEGIN")
    await reader.execute(_EVERY_SLOT)
    async with await open_pool(database.admin_dsn, application="tests", size=1) as pool:
        saving = asyncio.create_task(AccountRepository(PostgresEventStore(pool)).save(opened()))

        async def found() -> list[asyncpg.Record]:
            rows: list[asyncpg.Record] = await owner.fetch(_told())
            return [row for row in rows if row["pid"] == reader.get_server_pid()]

        await until(found)
        (row,) = await found()
        assert row["usename"] == database.logins["passbook_reader"][0]
        assert row["state"] == "idle in transaction"
        assert not saving.done()
        await owner.execute("SELECT pg_terminate_backend($1)", row["pid"])
        await saving
