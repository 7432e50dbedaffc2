"""Invariant 6: whatever is changed in the event store or in the audit log is found, where it is.

The hands that tamper are the owner's, with the triggers out of the way. Each test is the proof that
its check is sharp: untouched, the same rows verify (`test_untouched_log_verifies`).
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any, cast
from uuid import uuid4

import asyncpg
import orjson
import pytest

from passbook.domain.slots import SLOT_COUNT
from passbook.eventstore.postgres import PostgresEventStore
from passbook.projection.recorded import from_recorded
from passbook.projection.runtime import ProjectionRuntime
from services.audit_projector.projection import AuditProjection
from services.audit_projector.sides import Entry
from services.audit_projector.verify import Difference, Verification, verify
from tests.support.accounts import accepted, account_ids, busy, rows
from tests.support.databases import Connect, OpenPool

Check = Callable[[], Awaitable[Verification]]

SLOT, OTHER_SLOT = 5, 40
EVENTS = 12
EVERYTHING = 16
"""Three accounts with four events each in one slot, and one in another."""

COPY = """
UPDATE audit.entries SET (event_id, account_id, version, event_type, schema_version, data, actor,
                          command_id, correlation_id, occurred_at, recorded_at, prev_hash, hash)
    = ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) WHERE slot = $1 AND slot_seq = $2
"""


@pytest.fixture
async def admin(connect: Connect, pools: OpenPool) -> asyncpg.Connection:
    """Give a login that may do everything, on a ledger whose audit log is complete."""
    pool = await pools()
    store = PostgresEventStore(pool)
    for slot, accounts in ((SLOT, 3), (OTHER_SLOT, 1)):
        await append(store, slot, accounts)
    nobody = cast("Any", None)
    runtime = ProjectionRuntime(AuditProjection(), pool, store, nobody, nobody, 16)
    await runtime._reload()
    by_slot = defaultdict(list)
    for event in await store.read_log(dict.fromkeys(range(SLOT_COUNT), 0), 100):
        by_slot[event.slot].append(from_recorded(event))
    await runtime.apply(by_slot)
    connection = await connect()
    await connection.execute("SET session_replication_role = replica")  # no triggers
    await connection.execute("ALTER TABLE eventstore.events DROP CONSTRAINT events_slot_seq_check")
    await connection.execute("ALTER TABLE audit.entries DROP CONSTRAINT entries_slot_seq_check")
    return connection


async def append(store: PostgresEventStore, slot: int, accounts: int) -> None:
    """Append four events of each of some new accounts of a slot, as one command."""
    heads = await store.heads()
    command_id = uuid4()
    metadata = orjson.dumps({"command_id": str(command_id), "actor": "ada"}).decode()
    opened = [busy(account_id) for account_id in islice(account_ids(slot), accounts)]
    events = rows(*opened, metadata=metadata)
    await store.append_batch({slot: heads[slot]}, events, [accepted(events[-4:], command_id)])


@pytest.fixture
async def check(connect: Connect) -> Check:
    """Give a function that verifies with the logins that only read."""

    async def check() -> Verification:
        entries, events = await connect("passbook_reader"), await connect("passbook_reader")
        return await verify(entries, events, lambda _done, _total: None)

    return check


def only(found: Verification) -> tuple[int, int, str]:
    """Return the one difference as the command line names it."""
    (difference,) = found.differences
    return difference.slot, difference.slot_seq, difference.kind


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


async def entry(admin: asyncpg.Connection, number: int) -> Entry:
    """Return an entry of the slot."""
    columns = ", ".join(Entry._fields)
    row = await admin.fetchrow(
        f"SELECT {columns} FROM audit.entries WHERE slot = $1 AND slot_seq = $2", SLOT, number
    )
    return Entry._make(row)


async def forge_entry(admin: asyncpg.Connection, before: Entry, number: int) -> None:
    """Put in a new entry that follows `before` as it should."""
    forged = before._replace(
        slot_seq=number, event_id=uuid4(), version=before.version + 1, prev_hash=before.hash
    )
    forged = forged._replace(hash=forged.content_hash(SLOT))
    await admin.execute(
        f"INSERT INTO audit.entries (slot, {', '.join(Entry._fields)}) VALUES "
        "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        SLOT,
        *forged,
    )


async def write(admin: asyncpg.Connection, changed: Entry) -> None:
    """Overwrite an entry."""
    await admin.execute(COPY, SLOT, *changed)


async def renumber(admin: asyncpg.Connection, table: str, start: int, step: int) -> None:
    """Move the rows from a number on up or down by one, past the primary key."""
    where = "WHERE slot = $1 AND"
    await admin.execute(
        f"UPDATE {table} SET slot_seq = -slot_seq {where} slot_seq >= $2", SLOT, start
    )
    await admin.execute(
        f"UPDATE {table} SET slot_seq = -slot_seq + $2 {where} slot_seq < 0", SLOT, step
    )
