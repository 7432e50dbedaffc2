"""Invariant 6 from the outside: the audit log of a running installation, whole and forged."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from tests.support.program import Ended, Program

pytestmark = pytest.mark.timeout(240)


@asynccontextmanager
async def forging(passbook: Program, statement: str, *arguments: object) -> AsyncIterator[None]:
    """Change the audit log with every trigger out of the way, and put it back afterwards."""
    endpoints = Path(passbook.settings["PASSBOOK_DATA_DIR"]) / "endpoints.json"
    dsn = json.loads(endpoints.read_text())["admin_dsn"]
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SET session_replication_role = replica")
        before = await connection.fetch("SELECT * FROM audit.entries")
        columns = list(before[0].keys())
        assert await connection.execute(statement, *arguments) != "UPDATE 0"
        yield
        async with connection.transaction():
            await connection.execute("DELETE FROM audit.entries")
            await connection.copy_records_to_table(
                "entries", schema_name="audit", records=before, columns=columns
            )
    finally:
        await connection.close()


async def verified(passbook: Program) -> Ended:
    """Verify when the audit log has everything."""
    async with asyncio.timeout(60):
        while True:
            ended = await passbook("audit", "verify", "--json")
            if ended.document["newer_events"] == 0:
                return ended


@pytest.fixture
async def account(running_passbook: Program) -> tuple[str, int]:
    """Give the id and the slot of an account with three events, all of them audited."""
    passbook = running_passbook
    opening = await passbook("account", "open", "--owner", "Alice", "--deposit", "100", "--json")
    account_id = opening.document["account_id"]
    for amount in ("1.00", "2.00"):
        assert (await passbook("account", "deposit", account_id, amount)).code == 0
    await verified(passbook)
    history = (await passbook("account", "history", account_id, "--json")).document
    return account_id, history[0]["slot"]


async def test_everything_that_happened_is_audited_with_who_wanted_it(
    running_passbook: Program, account: tuple[str, int]
) -> None:
    account_id, slot = account
    history = (await running_passbook("account", "history", account_id, "--json")).document
    trail = (await running_passbook("audit", "show", account_id, "--json")).document
    same = ("slot", "slot_seq", "version", "event_type", "event_id", "data", "occurred_at")
    for event, entry in zip(history, trail, strict=True):
        assert [event[name] for name in same] == [entry[name] for name in same]
        assert event["command_id"] == entry["command_id"]
    assert {entry["slot"] for entry in trail} == {slot}


async def test_whole_log_verifies(running_passbook: Program, account: tuple[str, int]) -> None:
    ended = await verified(running_passbook)
    assert account
    assert ended.code == 0
    assert ended.document["ok"] is True
    assert ended.document["entries"] >= 3
    assert ended.document["first_difference"] is None


@pytest.mark.parametrize(
    ("forgery", "kind"),
    [
        (
            "UPDATE audit.entries SET actor = 'eve' WHERE account_id = $1 AND version = 2",
            "altered",
        ),
        ("DELETE FROM audit.entries WHERE account_id = $1 AND version = 2", "missing"),
    ],
)
async def test_forged_log_is_found_where_it_was_forged(
    running_passbook: Program, account: tuple[str, int], forgery: str, kind: str
) -> None:
    account_id, slot = account
    trail = (await running_passbook("audit", "show", account_id, "--json")).document
    async with forging(running_passbook, forgery, account_id):
        ended = await running_passbook("audit", "verify", "--json")
    assert ended.code == 1
    assert ended.document["ok"] is False
    difference = ended.document["first_difference"]
    found = (difference["slot"], difference["slot_seq"], difference["kind"])
    assert found == (slot, trail[1]["slot_seq"], kind)
    assert (await verified(running_passbook)).code == 0
