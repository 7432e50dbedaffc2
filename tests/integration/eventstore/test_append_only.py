"""What was recorded stays: also the owner of the tables cannot change it by a statement."""

import asyncpg
import pytest

from passbook.domain.slots import slot_of
from passbook.eventstore.postgres import PostgresEventStore
from tests.support.accounts import accepted, busy, rows
from tests.support.databases import Connect


@pytest.mark.parametrize("table", ["events", "commands"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE eventstore.{table} SET version = 7",
        "UPDATE eventstore.{table} SET version = version WHERE false",
        "DELETE FROM eventstore.{table}",
        "TRUNCATE eventstore.{table}",
    ],
)
async def test_the_owner_cannot_change_or_remove_what_was_recorded(
    store: PostgresEventStore, connect: Connect, table: str, statement: str
) -> None:
    """Seen to fail: without the triggers of the first and of the third migration."""
    events = rows(busy())
    outcome = accepted(events)
    await store.append_batch({events[0].slot: 0}, events, [outcome])
    owner = await connect()

    with pytest.raises(asyncpg.PostgresError, match="the log is append-only") as refusal:
        await owner.execute(statement.format(table=table))

    assert refusal.value.sqlstate == "PB004"
    assert len(await store.history(events[0].stream_id)) == len(events)
    assert await store.outcomes([outcome.command_id]) == {outcome.command_id: outcome}


async def test_only_what_is_on_record_as_archived_can_be_removed(
    store: PostgresEventStore, connect: Connect
) -> None:
    """Seen to fail: with the trigger comparing streams and not versions."""
    account = busy()
    await store.append(account.id, account.pending_events, 0)
    owner = await connect()
    await owner.execute(
        "INSERT INTO eventstore.archived_streams VALUES ($1, $2, 2, now())",
        account.id,
        slot_of(account.id),
    )

    with pytest.raises(asyncpg.PostgresError, match="the log is append-only") as refusal:
        await owner.execute("DELETE FROM eventstore.events WHERE version <= 3")

    assert refusal.value.sqlstate == "PB004"
    assert await owner.execute("DELETE FROM eventstore.events WHERE version <= 2") == "DELETE 2"
