"""Old events read as today's by every verb, and newer ones refused by every verb."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest

from passbook.domain.account import BankAccount
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.snapshots import Snapshot
from passbook.eventstore.snapshots_postgres import PostgresSnapshotStore
from tests.support.newer import NewerStream, append_newer
from tests.support.old import append_old
from tests.support.program import Program


@pytest.fixture
async def newer(owner: asyncpg.Pool) -> NewerStream:
    """Give an account with an event that this code cannot read."""
    return await append_newer(PostgresEventStore(owner), uuid4())


async def test_history_tells_an_old_event_as_it_is_stored_and_as_it_is_read(
    program: Program, owner: asyncpg.Pool
) -> None:
    """Seen to fail: with `_data` returning what is stored."""
    account_id = await append_old(PostgresEventStore(owner))
    deposit = (await program("account", "history", account_id, "--json")).document[1]
    stored = {"account_id": str(account_id), "amount": "1.00"}
    assert (deposit["schema_version"], deposit["data"]) == (1, stored)
    assert deposit["read_as"] == {**stored, "reference": "legacy-deposit"}
    assert "reference legacy-deposit" in (await program("account", "history", account_id)).stdout
    tail = await program("events", "tail", "--from", "beginning", "--limit", 2, "--json")
    assert tail.documents[1]["read_as"] == deposit["read_as"]


async def test_an_old_event_counts_in_every_state(program: Program, owner: asyncpg.Pool) -> None:
    account_id = await append_old(PostgresEventStore(owner))
    moment = datetime.now(UTC).isoformat()
    for how in (["--strong"], ["--version", 2], ["--at", moment]):
        shown = await program("account", "show", account_id, *how, "--json")
        assert shown.document["balance"] == "101.00"
    listed = await program("account", "list", "--at", moment, "--json")
    assert [one["balance"] for one in listed.document["accounts"]] == ["101.00"]


async def test_verbs_refuse_what_they_cannot_read_and_name_it(
    program: Program, owner: asyncpg.Pool, newer: NewerStream
) -> None:
    """Nothing is shown of a state that leaves the event out; states before it are not in doubt."""
    opened = BankAccount.replay(
        newer.account_id, [(await PostgresEventStore(owner).history(newer.account_id))[0].decode()]
    )
    await PostgresSnapshotStore(owner).save([Snapshot.of(opened)])
    verbs = (
        ("account", "show", newer.account_id, "--strong"),
        ("account", "list", "--at", datetime.now(UTC).isoformat()),
        ("account", "history", newer.account_id, "--json"),
        ("events", "tail", "--from", "beginning"),
        ("snapshot", "verify"),
    )
    runs = await asyncio.gather(*(program(*verb) for verb in verbs))
    for verb, ended in zip(verbs, runs, strict=True):
        assert ended.code == 1, verb
        assert "no way to read MoneyDeposited of schema version 99: upgrade" in ended.stderr, verb
    before = await program("account", "show", newer.account_id, "--version", 1, "--json")
    assert (before.code, before.document["balance"]) == (0, "100.00")
