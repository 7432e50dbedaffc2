"""Invariant 6: whatever is changed in the event store or in the audit log is found, where it is.

The hands that tamper are the owner's, with the triggers out of the way. Each test is the proof that
its check is sharp: untouched, the same rows verify (`test_untouched_log_verifies`).
"""

import asyncpg
import pytest

from passbook.eventstore.postgres import PostgresEventStore
from services.audit_projector.verify import Difference, Verification, verify
from tests.integration.audit_projector.forging import (
    EVENTS,
    EVERYTHING,
    OTHER_SLOT,
    SLOT,
    Check,
    append,
    cut,
    entry,
    forge_entry,
    only,
    renumber,
    write,
)
from tests.support.databases import Connect, OpenPool


async def test_untouched_log_verifies(admin: asyncpg.Connection, check: Check) -> None:
    del admin
    assert await check() == Verification(entries=EVERYTHING, slots=2, newer=0, differences=[])


async def test_progress_ends_with_everything_compared(
    admin: asyncpg.Connection, connect: Connect
) -> None:
    steps: list[tuple[int, int]] = []
    await verify(admin, await connect(), lambda done, total: steps.append((done, total)))
    assert steps[-1] == (EVERYTHING, EVERYTHING)


async def test_newer_events_are_told_and_not_compared(
    admin: asyncpg.Connection, check: Check, pools: OpenPool
) -> None:
    del admin
    await append(PostgresEventStore(await pools()), OTHER_SLOT, 2)
    assert await check() == Verification(entries=EVERYTHING, slots=2, newer=8, differences=[])


@pytest.mark.parametrize(
    "change",
    [
        "data = jsonb_set(data, '{amount}', '\"1.01\"')",
        "metadata = jsonb_set(metadata, '{actor}', '\"eve\"')",
        "metadata = metadata - 'command_id'",
        "event_type = 'MoneyWithdrawn'",
        "occurred_at = occurred_at + interval '1 microsecond'",
        "recorded_at = recorded_at - interval '1 microsecond'",
        "recorded_at = recorded_at + interval '1 hour'",
        "schema_version = schema_version + 1",
        "version = version + 100",
        "stream_id = gen_random_uuid()",
        "event_id = gen_random_uuid()",
    ],
)
async def test_change_of_a_stored_event_is_found(
    admin: asyncpg.Connection, check: Check, change: str
) -> None:
    where = "WHERE slot = $1 AND slot_seq = 7"
    assert await admin.execute(f"UPDATE eventstore.events SET {change} {where}", SLOT) == "UPDATE 1"
    assert only(await check()) == (SLOT, 7, "altered")


@pytest.mark.parametrize(
    "change",
    [
        "data = replace(data::text, '1.00', '1.01')::json",
        "data = replace(data::text, ': ', ':')::json",
        "actor = 'eve'",
        "command_id = ''",
        "correlation_id = 'x'",
        "event_type = 'MoneyWithdrawn'",
        "occurred_at = occurred_at + interval '1 microsecond'",
        "recorded_at = recorded_at + interval '1 microsecond'",
        "version = version + 100",
        "account_id = gen_random_uuid()",
        "event_id = gen_random_uuid()",
        "hash = set_byte(hash, 31, get_byte(hash, 31) # 1)",
        "prev_hash = set_byte(prev_hash, 0, get_byte(prev_hash, 0) # 1)",
    ],
)
async def test_change_of_an_audit_entry_is_found(
    admin: asyncpg.Connection, check: Check, change: str
) -> None:
    where = "WHERE slot = $1 AND slot_seq = 7"
    assert await admin.execute(f"UPDATE audit.entries SET {change} {where}", SLOT) == "UPDATE 1"
    assert only(await check()) == (SLOT, 7, "altered")


async def test_deleted_entry_is_found(admin: asyncpg.Connection, check: Check) -> None:
    await admin.execute("DELETE FROM audit.entries WHERE slot = $1 AND slot_seq = 7", SLOT)
    assert only(await check()) == (SLOT, 7, "missing")


async def test_deleted_event_is_found(admin: asyncpg.Connection, check: Check) -> None:
    await admin.execute("DELETE FROM eventstore.events WHERE slot = $1 AND slot_seq = 7", SLOT)
    assert only(await check()) == (SLOT, 7, "not_in_store")


@pytest.mark.parametrize("number", [1, 7, EVENTS])
async def test_number_deleted_on_both_sides_is_found(
    admin: asyncpg.Connection, check: Check, number: int
) -> None:
    for table in ("audit.entries", "eventstore.events"):
        await admin.execute(f"DELETE FROM {table} WHERE slot = $1 AND slot_seq = $2", SLOT, number)
    assert only(await check()) == (SLOT, number, "missing")


@pytest.mark.parametrize(
    ("tables", "kind"),
    [
        (["audit.entries"], "missing"),
        (["eventstore.events"], "not_in_store"),
        (["audit.entries", "eventstore.events"], "missing"),
    ],
)
async def test_tail_that_is_gone_is_found(
    admin: asyncpg.Connection, check: Check, tables: list[str], kind: str
) -> None:
    """The positions still know of it; when they do not, see `test_checkpoints`."""
    await cut(admin, 9, *tables)
    assert only(await check()) == (SLOT, 9, kind)


async def test_entries_behind_a_position_that_was_set_back_are_found(
    admin: asyncpg.Connection, check: Check
) -> None:
    await admin.execute("UPDATE projections.positions SET slot_seq = 8 WHERE slot = $1", SLOT)
    assert only(await check()) == (SLOT, 9, "inserted")


@pytest.mark.parametrize(
    ("table", "kind"), [("audit.entries", "missing"), ("eventstore.events", "not_in_store")]
)
async def test_deleted_row_whose_followers_moved_up_is_found(
    admin: asyncpg.Connection, check: Check, table: str, kind: str
) -> None:
    await admin.execute(f"DELETE FROM {table} WHERE slot = $1 AND slot_seq = 7", SLOT)
    await renumber(admin, table, 8, -1)
    assert only(await check()) == (SLOT, 7, kind)


async def test_entry_after_the_end_is_found(admin: asyncpg.Connection, check: Check) -> None:
    await forge_entry(admin, await entry(admin, EVENTS), EVENTS + 1)
    assert only(await check()) == (SLOT, EVENTS + 1, "inserted")


async def test_entry_squeezed_in_is_found(admin: asyncpg.Connection, check: Check) -> None:
    before = await entry(admin, 6)
    await renumber(admin, "audit.entries", 7, 1)
    await forge_entry(admin, before, 7)
    assert only(await check()) == (SLOT, 7, "not_in_store")


async def test_event_squeezed_in_is_found(admin: asyncpg.Connection, check: Check) -> None:
    await renumber(admin, "eventstore.events", 7, 1)
    await admin.execute(
        "INSERT INTO eventstore.events SELECT slot, schema_version, 1, 7, gen_random_uuid(), "
        "gen_random_uuid(), occurred_at, recorded_at, event_type, data, metadata "
        "FROM eventstore.events WHERE slot = $1 AND slot_seq = 6",
        SLOT,
    )
    assert only(await check()) == (SLOT, 7, "missing")


@pytest.mark.parametrize("table", ["audit.entries", "eventstore.events"])
async def test_two_rows_that_changed_places_are_found(
    admin: asyncpg.Connection, check: Check, table: str
) -> None:
    swap = f"UPDATE {table} SET slot_seq = $3 WHERE slot = $1 AND slot_seq = $2"
    for old, new in ((7, -1), (8, 7), (-1, 8)):
        await admin.execute(swap, SLOT, old, new)
    assert only(await check()) == (SLOT, 7, "reordered")


async def test_entry_rewritten_with_a_hash_of_its_own_breaks_the_chain(
    admin: asyncpg.Connection, check: Check
) -> None:
    """The forger leaves the event store alone and hides a command id; the next entry tells."""
    old = await entry(admin, 7)
    forged = old._replace(actor="eve")
    forged = forged._replace(hash=forged.content_hash(SLOT))
    await write(admin, forged)
    assert only(await check()) == (SLOT, 7, "altered")
    await admin.execute(
        "UPDATE eventstore.events SET metadata = jsonb_set(metadata, '{actor}', '\"eve\"') "
        "WHERE slot = $1 AND slot_seq = 7",
        SLOT,
    )
    assert only(await check()) == (SLOT, 8, "chain_broken")


async def test_every_slot_is_looked_at(admin: asyncpg.Connection, check: Check) -> None:
    await admin.execute("DELETE FROM audit.entries WHERE slot_seq = 2")
    found = await check()
    assert not found.ok
    assert found.differences == [
        Difference(SLOT, 2, "missing", "the event has no entry"),
        Difference(OTHER_SLOT, 2, "missing", "the event has no entry"),
    ]
