"""A ledger whose audit log is complete, open to tampering."""

from collections.abc import Iterable

import asyncpg
import pytest

from passbook.eventstore.postgres import PostgresEventStore
from services.audit_projector.checkpoints import Checkpoint
from services.audit_projector.projection import AuditProjection
from services.audit_projector.verify import Verification, verify
from tests.integration.audit_projector.forging import OTHER_SLOT, SLOT, Check, append
from tests.support.databases import Connect, OpenPool
from tests.support.projected import project


@pytest.fixture
async def admin(connect: Connect, pools: OpenPool) -> asyncpg.Connection:
    """Give a login that may do everything, on a ledger whose audit log is complete."""
    pool = await pools()
    store = PostgresEventStore(pool)
    for slot, accounts in ((SLOT, 3), (OTHER_SLOT, 1)):
        await append(store, slot, accounts)
    await project(pool, AuditProjection())
    connection = await connect()
    await connection.execute("SET session_replication_role = replica")  # no triggers
    await connection.execute("ALTER TABLE eventstore.events DROP CONSTRAINT events_slot_seq_check")
    await connection.execute("ALTER TABLE audit.entries DROP CONSTRAINT entries_slot_seq_check")
    return connection


@pytest.fixture
async def check(connect: Connect) -> Check:
    """Give a function that verifies with the logins that only read."""

    async def check(checkpoints: Iterable[Checkpoint] = ()) -> Verification:
        entries, events = await connect("passbook_reader"), await connect("passbook_reader")
        return await verify(entries, events, lambda _done, _total: None, checkpoints)

    return check
