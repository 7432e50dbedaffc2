"""Invariant 6 over an archived log: the same is found, and it is called the same."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import pytest

from services.audit_projector.checkpoints import Checkpoint
from services.audit_projector.heads import environment, heads_to_sign
from services.audit_projector.verify import Verification, verify
from tests.integration.archive.conftest import SLOT, Books
from tests.integration.audit_projector.forging import only
from tests.support.databases import Connect

Verify = Callable[..., Awaitable[Verification]]


@pytest.fixture
async def admin(books: Books, account_id: UUID, connect: Connect) -> asyncpg.Connection:
    """Give a login that may do everything, on a ledger of which everything is archived that may."""
    assert account_id
    await books.run()
    connection = await connect()
    await connection.execute("ALTER TABLE audit.entries DROP CONSTRAINT entries_slot_seq_check")
    return connection


@pytest.fixture
async def check(books: Books, connect: Connect) -> Verify:
    """Give a function that verifies, against checkpoints if there are any."""

    async def check(*checkpoints: Checkpoint) -> Verification:
        sides = await connect("passbook_reader"), await connect("passbook_reader")
        return await verify(*sides, lambda *_: None, checkpoints, books.archive)

    return check


async def test_entries_of_archived_events_that_changed_places_are_found(
    admin: asyncpg.Connection, check: Verify
) -> None:
    """Seen to fail: with a look at the table only, the entry seemed to have no event."""
    swap = "UPDATE audit.entries SET slot_seq = $3 WHERE slot = $1 AND slot_seq = $2"
    for old, new in ((2, -1), (3, 2), (-1, 3)):
        await admin.execute(swap, SLOT, old, new)
    assert only(await check()) == (SLOT, 2, "reordered")


async def test_entry_of_an_archived_event_that_is_gone_is_found(
    admin: asyncpg.Connection, check: Verify
) -> None:
    await admin.execute("DELETE FROM audit.entries WHERE slot = $1 AND slot_seq = 3", SLOT)
    assert only(await check()) == (SLOT, 3, "missing")


async def test_what_was_signed_before_it_was_archived_is_confirmed(
    books: Books, account_id: UUID, connect: Connect, check: Verify
) -> None:
    assert account_id
    await books.current()
    reader = await connect("passbook_reader")
    before = await heads_to_sign(reader, await environment(reader), None)
    await books.run()
    found = await check(before)
    assert (found.ok, found.confirmed) == (True, 2), found.differences
    assert (await heads_to_sign(reader, await environment(reader), None)).heads == before.heads
