"""Before anything else: is this the database, migrated, and does it keep what it commits?"""

import pytest

from passbook.eventstore.errors import StoreMismatch
from passbook.eventstore.preflight import check_event_store, check_migrated
from passbook.eventstore.server import check_durability
from passbook.migrations import Migration
from tests.support.databases import Connect, Database, connected


async def test_a_good_store_says_which_one_it_is(connect: Connect, database: Database) -> None:
    for role in ("passbook_command_service", "passbook_outbox_relay", "passbook_reader"):
        assert await check_event_store(await connect(role)) == database.environment_id


async def test_a_server_that_may_lose_commits_is_refused(
    connect: Connect, database: Database
) -> None:
    """`fsync` and `full_page_writes` take a server of their own; the check reads them alike.

    Seen to fail: without `check_durability`.
    """
    owner = await connect()
    await owner.execute(f"ALTER DATABASE {database.name} SET synchronous_commit = off")
    connection = await connect("passbook_command_service")

    with pytest.raises(StoreMismatch, match="synchronous_commit is off: commits could be lost"):
        await check_event_store(connection)

    found = await check_event_store(connection, allow_unsafe=True)
    assert found == database.environment_id


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
async def test_every_setting_that_can_lose_commits_is_looked_at(setting: str) -> None:
    class Server:
        async def fetch(self, query: str) -> list[dict[str, str]]:
            return [{"name": setting}] if f"'{setting}'" in query else []

    with pytest.raises(StoreMismatch, match=f"{setting} is off"):
        await check_durability(Server())


async def test_a_database_that_is_not_migrated_is_refused(unmigrated_dsn: str) -> None:
    async with connected(unmigrated_dsn) as connection:
        with pytest.raises(StoreMismatch, match=r"not migrated: eventstore 0001.*passbook migrate"):
            await check_event_store(connection)


async def test_a_database_of_other_scripts_is_refused(connect: Connect) -> None:
    reader = await connect("passbook_reader")
    newer = [Migration("eventstore", 2, "0002_more", "SELECT 1")]
    with pytest.raises(StoreMismatch, match="does not know"):
        await check_migrated(reader, newer)


async def test_a_store_with_other_slots_is_refused(connect: Connect) -> None:
    owner = await connect()
    await owner.execute("UPDATE eventstore.store_info SET slot_count = 32")
    with pytest.raises(StoreMismatch, match="the store has 32 slots, this code 64"):
        await check_event_store(owner)
