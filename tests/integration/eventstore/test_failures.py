"""When the line to PostgreSQL breaks: what is unknown is called unknown, and can be looked up."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from passbook.eventstore.errors import (
    BrokenInvariant,
    DuplicateCommand,
    StoreMismatch,
    StoreUnavailable,
)
from passbook.eventstore.pool import open_pool
from passbook.eventstore.postgres import PostgresEventStore
from tests.support.accounts import accepted, account_ids, opened, rows
from tests.support.databases import Connect, Database, OpenPool
from tests.support.proxy import Proxy, proxied
from tests.support.until import until

_SLOT = 5
_OTHER_SLOT = 6
_HOLD = f"SELECT FROM eventstore.slots WHERE slot = {_SLOT} FOR UPDATE"


@pytest.fixture
async def line(database: Database) -> AsyncIterator[tuple[Proxy, PostgresEventStore]]:
    """Give a store whose only connection goes through a proxy."""
    async with proxied(database.dsn("passbook_command_service")) as (proxy, dsn):
        pool = await open_pool(dsn, application="passbook-tests", size=1)
        store = PostgresEventStore(pool)
        # The driver has prepared its statements when the line breaks.
        await store.append_batch({_OTHER_SLOT: 0}, rows(opened(next(account_ids(_OTHER_SLOT)))), [])
        await store.heads()
        yield proxy, store
        pool.terminate()


async def _blocked(connection: asyncpg.Connection) -> list[int]:
    """Return the backends of this database that wait for a lock."""
    rows = await connection.fetch(
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return [row["pid"] for row in rows]


async def test_an_append_whose_answer_is_lost_is_unknown_and_its_outcome_can_be_looked_up(
    line: tuple[Proxy, PostgresEventStore], store: PostgresEventStore
) -> None:
    """The commit happened, the line broke before the answer: never "failed", never a blind retry."""
    proxy, behind = line
    events = rows(opened(next(account_ids(_SLOT))))
    outcome = accepted(events)
    proxy.hold_answers()
    append = asyncio.create_task(behind.append_batch({_SLOT: 0}, events, [outcome]))

    async def committed() -> bool:
        return (await store.heads())[_SLOT] == 1

    await until(committed)
    proxy.cut()
    with pytest.raises(StoreUnavailable):
        await append

    assert await behind.outcomes([outcome.command_id]) == {outcome.command_id: outcome}
    with pytest.raises(DuplicateCommand):
        await behind.append_batch({_SLOT: 1}, [], [outcome])


async def test_an_append_that_was_cut_off_before_it_began_has_no_outcome(
    store: PostgresEventStore, connect: Connect
) -> None:
    events = rows(opened(next(account_ids(_SLOT))))
    outcome = accepted(events)
    owner = await connect()
    async with owner.transaction():
        await owner.execute(_HOLD)
        append = asyncio.create_task(store.append_batch({_SLOT: 0}, events, [outcome]))
        await until(lambda: _blocked(owner))
        for pid in await _blocked(owner):
            await owner.execute("SELECT pg_terminate_backend($1)", pid)
        with pytest.raises(StoreUnavailable):
            await append

    assert await store.outcomes([outcome.command_id]) == {}
    await store.append_batch({_SLOT: 0}, events, [outcome])
    assert (await store.heads())[_SLOT] == 1


async def test_an_append_that_took_too_long_happens_at_most_once(
    pools: OpenPool, store: PostgresEventStore, connect: Connect
) -> None:
    """The server may still carry out what nobody waits for any more: the command id decides."""
    hasty = PostgresEventStore(await pools("passbook_command_service", size=1), timeout_s=0.3)
    events = rows(opened(next(account_ids(_SLOT))))
    outcome = accepted(events)
    owner = await connect()
    async with owner.transaction():
        await owner.execute(_HOLD)
        async with asyncio.timeout(5):
            with pytest.raises(StoreUnavailable):
                await hasty.append_batch({_SLOT: 0}, events, [outcome])

    async def settled() -> bool:
        return not await _blocked(owner)

    await until(settled)
    known = await store.outcomes([outcome.command_id])
    if not known:
        await store.append_batch({_SLOT: 0}, events, [outcome])
    assert await store.outcomes([outcome.command_id]) == {outcome.command_id: outcome}
    assert len(await store.read_slot(_SLOT, 0, 10)) == 1


async def test_a_cancelled_append_is_carried_through(
    store: PostgresEventStore, connect: Connect
) -> None:
    """The caller is cancelled while the append waits: it still happens, and then the caller ends.

    Seen to fail: without the shield in `PostgresEventStore`, the append is lost.
    """
    events = rows(opened(next(account_ids(_SLOT))))
    outcome = accepted(events)
    owner = await connect()
    async with owner.transaction():
        await owner.execute(_HOLD)
        append = asyncio.create_task(store.append_batch({_SLOT: 0}, events, [outcome]))
        await until(lambda: _blocked(owner))
        append.cancel()
        await asyncio.sleep(0)
        assert not append.done()
    with pytest.raises(asyncio.CancelledError):
        await append

    assert await store.outcomes([outcome.command_id]) == {outcome.command_id: outcome}
    assert (await store.heads())[_SLOT] == 1


async def test_a_call_without_an_answer_ends_in_time_and_the_next_one_works(
    line: tuple[Proxy, PostgresEventStore],
) -> None:
    """The server is frozen: it answers neither the query nor the request to cancel it.

    Seen to fail: with `asyncio.timeout` around the call, which the driver outlives by waiting for
    the cancellation.
    """
    proxy, behind = line
    behind._timeout_s = 0.3
    proxy.hold_answers()
    async with asyncio.timeout(5):
        with pytest.raises(StoreUnavailable):
            await behind.heads()
    proxy.cut()
    assert len(await behind.heads()) == 64


async def test_connections_that_were_cut_while_idle_are_replaced(
    store: PostgresEventStore, connect: Connect
) -> None:
    await store.heads()
    owner = await connect()
    await owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    async def answers() -> bool:
        try:
            return len(await store.heads()) == 64
        except StoreUnavailable:
            return False

    await until(answers)


async def test_a_login_without_the_right_to_append_is_told_so(
    pools: OpenPool,
) -> None:
    store = PostgresEventStore(await pools("passbook_outbox_relay"))
    with pytest.raises(StoreMismatch, match=r"permission denied.*42501.*use the right login"):
        await store.append_batch({_SLOT: 0}, rows(opened(next(account_ids(_SLOT)))), [])


async def test_a_database_without_the_schema_is_told_so(unmigrated_dsn: str) -> None:
    pool = await open_pool(unmigrated_dsn, application="passbook-tests", size=1)
    with pytest.raises(StoreMismatch, match="migrate the database"):
        await PostgresEventStore(pool).heads()
    await pool.close()


async def test_data_that_jsonb_cannot_keep_is_a_bug_of_the_caller(
    store: PostgresEventStore,
) -> None:
    event = rows(opened(next(account_ids(_SLOT))))[0]._replace(data='{"reason": "\\u0000"}')
    with pytest.raises(BrokenInvariant, match="22P05"):
        await store.append_batch({_SLOT: 0}, [event], [])


async def test_appends_of_many_tasks_share_a_small_pool(pools: OpenPool) -> None:
    store = PostgresEventStore(await pools("passbook_command_service", size=2))
    accounts = [opened() for _ in range(50)]
    async with asyncio.TaskGroup() as group:
        for account in accounts:
            group.create_task(store.append(account.id, account.pending_events, 0))
    assert sum((await store.heads()).values()) == 50
