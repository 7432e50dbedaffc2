"""What was recorded stays: also the owner of the tables cannot change it by a statement."""

import asyncpg
import pytest

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
    """Seen to fail: without the two triggers of the first migration."""
    events = rows(busy())
    outcome = accepted(events)
    await store.append_batch({events[0].slot: 0}, events, [outcome])
    owner = await connect()

    with pytest.raises(asyncpg.PostgresError, match="the log is append-only") as refusal:
        await owner.execute(statement.format(table=table))

    assert refusal.value.sqlstate == "PB004"
    assert len(await store.history(events[0].stream_id)) == len(events)
    assert await store.outcomes([outcome.command_id]) == {outcome.command_id: outcome}
