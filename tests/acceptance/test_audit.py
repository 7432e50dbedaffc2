"""Invariant 6 from the outside: the audit log of a running installation, whole and forged."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest

from services.audit_projector.sides import Entry
from tests.support.databases import connected
from tests.support.program import Ended, Program

pytestmark = pytest.mark.timeout(240)

_SIDES: Final = (("audit", "entries"), ("eventstore", "events"))


@asynccontextmanager
async def owner(passbook: Program) -> AsyncIterator[asyncpg.Connection]:
    """Give the hands that may do everything, with every trigger out of the way."""
    endpoints = Path(passbook.settings["PASSBOOK_DATA_DIR"]) / "endpoints.json"
    async with connected(json.loads(endpoints.read_text())["admin_dsn"]) as connection:
        await connection.execute("SET session_replication_role = replica")
        yield connection


@asynccontextmanager
async def forging(passbook: Program, statement: str, *arguments: object) -> AsyncIterator[None]:
    """Change the audit log, and put it back afterwards."""
    async with owner(passbook) as connection:
        before = await connection.fetch("SELECT * FROM audit.entries")
        columns = list(before[0].keys())
        assert await connection.execute(statement, *arguments) != "UPDATE 0"
        yield
        async with connection.transaction():
            await connection.execute("DELETE FROM audit.entries")
            await connection.copy_records_to_table(
                "entries", schema_name="audit", records=before, columns=columns
            )


@asynccontextmanager
async def tampering(passbook: Program, slot: int) -> AsyncIterator[asyncpg.Connection]:
    """Let the block do anything to a slot, on both sides, and put it back afterwards."""
    async with owner(passbook) as connection:
        before = [
            await connection.fetch(f"SELECT * FROM {schema}.{table} WHERE slot = $1", slot)
            for schema, table in _SIDES
        ]
        try:
            yield connection
        finally:
            async with connection.transaction():
                for (schema, table), rows in zip(_SIDES, before, strict=True):
                    await connection.execute(f"DELETE FROM {schema}.{table} WHERE slot = $1", slot)
                    await connection.copy_records_to_table(
                        table, schema_name=schema, records=rows, columns=list(rows[0].keys())
                    )
                await move_end(connection, slot, len(before[0]))


async def move_end(connection: asyncpg.Connection, slot: int, end: int) -> None:
    """Have everything that knows where a slot ends say so."""
    await connection.execute("UPDATE eventstore.slots SET head = $2 WHERE slot = $1", slot, end)
    await connection.execute(
        "UPDATE projections.positions SET slot_seq = $2 WHERE slot = $1 AND projection = 'audit'",
        slot,
        end,
    )


async def cut_tail(connection: asyncpg.Connection, slot: int, number: int) -> None:
    """Remove an entry at the end, its event, and whatever else knows of them."""
    for schema, table in _SIDES:
        statement = f"DELETE FROM {schema}.{table} WHERE slot = $1 AND slot_seq >= $2"
        await connection.execute(statement, slot, number)
    await move_end(connection, slot, number - 1)


async def rewrite_tail(connection: asyncpg.Connection, slot: int, number: int) -> None:
    """Let somebody else have wanted the last event, on both sides, with a hash that fits."""
    columns = ", ".join(Entry._fields)
    row = await connection.fetchrow(
        f"SELECT {columns} FROM audit.entries WHERE slot = $1 AND slot_seq = $2", slot, number
    )
    forged = Entry._make(row)._replace(actor="eve")
    await connection.execute(
        "UPDATE audit.entries SET actor = 'eve', hash = $3 WHERE slot = $1 AND slot_seq = $2",
        slot,
        number,
        forged.content_hash(slot),
    )
    await connection.execute(
        "UPDATE eventstore.events SET metadata = jsonb_set(metadata, '{actor}', '\"eve\"') "
        "WHERE slot = $1 AND slot_seq = $2",
        slot,
        number,
    )


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


async def new_key(passbook: Program, folder: Path, name: str = "key") -> tuple[Path, Path]:
    """Return the files of a new private and public key."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    ended = await passbook("audit", "key", private)
    assert ended.code == 0
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    public.write_text(ended.stdout)
    return private, public


def taken_away(file: str) -> dict[str, Any]:
    """Return a checkpoint, which is not where it was afterwards: tests share the directory."""
    document: dict[str, Any] = json.loads(Path(file).read_text())
    Path(file).unlink()
    return document


async def test_a_signed_checkpoint_is_found_followed_and_confirmed(
    running_passbook: Program, account: tuple[str, int], tmp_path: Path
) -> None:
    passbook = running_passbook
    account_id, slot = account
    private, public = await new_key(passbook, tmp_path)
    first = await passbook("audit", "checkpoint", "--key", private, "--json")
    assert first.code == 0, first.stderr
    assert Path(first.document["file"]).parent.name == "checkpoints"
    assert (await passbook("account", "deposit", account_id, "1.00")).code == 0
    await verified(passbook)
    second = await passbook("audit", "checkpoint", "--key", private, "--json")
    ended = await passbook("audit", "verify", "--public-key", public, "--json")
    assert ended.code == 0, ended.stdout
    told = ended.document["checkpoints"]
    assert (told["used"], told["trusted_key"], told["wrong"]) == (2, True, [])
    assert told["confirmed_heads"] >= 2
    shown = await passbook("audit", "verify")
    assert "and with 2 checkpoints" in shown.stdout
    assert f"signed by {told['signed_by'][0]}; name the key you trust" in shown.stdout

    assert taken_away(first.document["file"])["checkpoint"]["previous"] is None
    content = taken_away(second.document["file"])["checkpoint"]
    assert content["previous"] == second.document["previous"] is not None
    assert content["entries"] == second.document["entries"] > first.document["entries"]
    assert content["heads"][slot]["slot_seq"] >= 4


async def test_tail_that_is_forged_on_both_sides_is_found_by_a_checkpoint_only(
    running_passbook: Program, account: tuple[str, int], tmp_path: Path
) -> None:
    passbook = running_passbook
    account_id, slot = account
    private, public = await new_key(passbook, tmp_path)
    kept = tmp_path / "kept.json"
    taken = await passbook("audit", "checkpoint", "--key", private, "--output", kept)
    assert taken.code == 0, taken.stderr
    trail = (await passbook("audit", "show", account_id, "--json")).document
    number = trail[-1]["slot_seq"]
    by_checkpoint = ("audit", "verify", "--checkpoint", kept, "--public-key", public, "--json")
    for tamper, kind in ((cut_tail, "cut_off"), (rewrite_tail, "rewritten")):
        async with tampering(passbook, slot) as connection:
            await tamper(connection, slot, number)
            assert (await passbook("audit", "verify", "--json")).code == 0
            found = await passbook(*by_checkpoint)
            refused = await passbook("audit", "checkpoint", "--key", private, "--previous", kept)
        assert found.code == 1
        difference = found.document["first_difference"]
        place = (difference["slot"], difference["slot_seq"], difference["kind"])
        assert place == (slot, number, kind)
        assert refused.code == 1
        assert f"entry {slot}:{number} is not the one that the previous checkpoint names" in (
            refused.stderr
        )
    again = await passbook(*by_checkpoint)
    assert again.code == 0, again.stdout


async def test_forged_checkpoints_prove_nothing_and_are_named(
    running_passbook: Program, tmp_path: Path
) -> None:
    passbook = running_passbook
    private, public = await new_key(passbook, tmp_path)
    _, other = await new_key(passbook, tmp_path, "other")
    kept, altered = tmp_path / "kept.json", tmp_path / "altered.json"
    await passbook("audit", "checkpoint", "--key", private, "--output", kept)
    document: dict[str, Any] = json.loads(kept.read_text())
    document["checkpoint"]["previous"] = "00" * 32
    altered.write_text(json.dumps(document))

    async def wrong(*arguments: object) -> list[tuple[str, str]]:
        ended = await passbook("audit", "verify", *arguments, "--json")
        assert ended.code == (1 if ended.document["checkpoints"]["wrong"] else 0)
        assert ended.document["first_difference"] is None
        return [(one["file"], one["kind"]) for one in ended.document["checkpoints"]["wrong"]]

    assert await wrong("--checkpoint", kept, "--public-key", other, public) == []
    assert await wrong("--checkpoint", kept, altered) == [(str(altered), "bad_signature")]
    assert await wrong("--checkpoint", kept, "--public-key", other) == [(str(kept), "wrong_key")]
    missing = await passbook("audit", "verify", "--checkpoint", tmp_path / "none.json")
    assert (missing.code, "No such file" in missing.stderr) == (1, True)
    overwritten = await passbook("audit", "checkpoint", "--key", private, "--output", kept)
    assert (overwritten.code, "File exists" in overwritten.stderr) == (1, True)
