"""A log to tamper with, and the hands that do it: the owner's, with the triggers out of the way."""

from collections.abc import Awaitable, Callable
from itertools import islice
from uuid import uuid4

import asyncpg
import orjson

from passbook.eventstore.postgres import PostgresEventStore
from services.audit_projector.sides import Entry
from services.audit_projector.verify import Verification
from tests.support.accounts import accepted, account_ids, busy, rows

Check = Callable[..., Awaitable[Verification]]
"""Verifies, against checkpoints if there are any."""

SLOT, OTHER_SLOT = 5, 40
EVENTS = 12
EVERYTHING = 16
"""Three accounts with four events each in one slot, and one in another."""

COPY = """
UPDATE audit.entries SET (event_id, account_id, version, event_type, schema_version, data, actor,
                          command_id, correlation_id, occurred_at, recorded_at, prev_hash, hash)
    = ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) WHERE slot = $1 AND slot_seq = $2
"""


async def append(store: PostgresEventStore, slot: int, accounts: int) -> None:
    """Append four events of each of some new accounts of a slot, as one command."""
    heads = await store.heads()
    command_id = uuid4()
    metadata = orjson.dumps({"command_id": str(command_id), "actor": "ada"}).decode()
    opened = [busy(account_id) for account_id in islice(account_ids(slot), accounts)]
    events = rows(*opened, metadata=metadata)
    await store.append_batch({slot: heads[slot]}, events, [accepted(events[-4:], command_id)])


def only(found: Verification) -> tuple[int, int, str]:
    """Return the one difference as the command line names it."""
    (difference,) = found.differences
    return difference.slot, difference.slot_seq, difference.kind


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


async def cut(admin: asyncpg.Connection, first: int, *tables: str) -> None:
    """Remove everything of the slot from a number on."""
    for table in tables:
        await admin.execute(f"DELETE FROM {table} WHERE slot = $1 AND slot_seq >= $2", SLOT, first)


async def cut_without_trace(admin: asyncpg.Connection, first: int) -> None:
    """Remove everything of the slot from a number on, and whatever else knew of it."""
    await cut(admin, first, "audit.entries", "eventstore.events")
    end = first - 1
    for statement in (
        "UPDATE projections.positions SET slot_seq = $2 WHERE slot = $1",
        "UPDATE eventstore.slots SET head = $2 WHERE slot = $1",
        "UPDATE eventstore.relay_positions SET published_seq = $2 WHERE slot = $1",
    ):
        await admin.execute(statement, SLOT, end)


async def rewrite(admin: asyncpg.Connection, first: int) -> None:
    """Hide who did it from a number on, on both sides, with hashes that fit."""
    previous = (await entry(admin, first - 1)).hash
    for number in range(first, EVENTS + 1):
        forged = (await entry(admin, number))._replace(actor="eve", prev_hash=previous)
        previous = forged.content_hash(SLOT)
        await write(admin, forged._replace(hash=previous))
    await admin.execute(
        "UPDATE eventstore.events SET metadata = jsonb_set(metadata, '{actor}', '\"eve\"') "
        "WHERE slot = $1 AND slot_seq >= $2",
        SLOT,
        first,
    )
