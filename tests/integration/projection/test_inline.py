"""Inline projections: event and row are one transaction, whoever appends."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest

from passbook.domain.slots import slot_of
from passbook.eventstore.errors import (
    ConcurrencyError,
    DuplicateCommand,
    EventStoreError,
    StoreMismatch,
)
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.repository import AccountRepository
from passbook.migrations import apply_migrations
from passbook.projection.inline import (
    InlineProjections,
    InlineRefused,
    inline_hook,
    inline_projections,
    install_inline,
    remove_inline,
)
from passbook.projection.protocol import projection_migrations
from passbook.projection.rebuild import Rebuilding
from tests.support.accounts import accepted, account_ids, busy, opened, rejected, rows
from tests.support.databases import Connect, Database, OpenPool

(BALANCE,) = inline_projections(["balance"])
BOTH = """
SELECT (SELECT max(version) FROM eventstore.events WHERE stream_id = $1),
       (SELECT version FROM inline_balances.accounts WHERE account_id = $1)
"""
DIFFERENT = """
SELECT count(*) FROM (SELECT stream_id, max(version) AS version
                        FROM eventstore.events GROUP BY stream_id) e
  FULL JOIN inline_balances.accounts a ON a.account_id = e.stream_id
 WHERE a.version IS DISTINCT FROM e.version
"""
SUM = "SELECT coalesce(sum(balance), 0) FROM inline_balances.accounts"
LEFT = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'inline%'"
TABLE = "SELECT 'inline_balances.accounts'::regclass::oid"
POSITIONS = "SELECT slot, slot_seq FROM projections.positions WHERE projection = 'inline_balance'"


@pytest.fixture
async def plain(pools: OpenPool) -> PostgresEventStore:
    """Give a store that knows of no inline projection."""
    return PostgresEventStore(await pools("passbook_command_service"))


@pytest.fixture
async def owner(connect: Connect) -> asyncpg.Connection:
    """Give a connection that owns the schemas."""
    return await connect()


@pytest.fixture
async def store(
    pools: OpenPool, owner: asyncpg.Connection, plain: PostgresEventStore
) -> PostgresEventStore:
    """Give the store of the command service with the inline balance, installed."""
    await install_inline(owner, plain, BALANCE)
    pool = await pools("passbook_command_service")
    return PostgresEventStore(pool, inline=InlineProjections(BALANCE))


async def test_row_is_right_as_soon_as_the_append_has_returned(
    store: PostgresEventStore, reader: asyncpg.Connection
) -> None:
    accounts = AccountRepository(store)
    account = busy(movements=2)
    await accounts.save(account)
    assert tuple(await reader.fetchrow(BOTH, account.id)) == (3, 3)
    account.withdraw(Decimal("1.50"), "coffee")
    account.freeze("court order")
    await accounts.save(account)
    row = await reader.fetchrow("SELECT * FROM inline_balances.accounts")
    assert (row["balance"], row["version"], row["status"]) == (Decimal("100.50"), 5, "frozen")


async def test_another_connection_never_sees_one_without_the_other(
    store: PostgresEventStore, connect: Connect
) -> None:
    """Concurrent writers, repository saves and batches alike, and a reader who compares the whole
    log with the rows all the time.

    Seen to fail (the reader finds accounts that differ) with the append committed by itself before
    the hook runs, in `PostgresEventStore._append_inline`, and without the trigger, which refuses
    exactly that.
    """
    reader = await connect("passbook_reader")
    done = asyncio.Event()
    looks = 0

    async def compare() -> None:
        nonlocal looks
        while not done.is_set():
            assert await reader.fetchval(DIFFERENT) == 0
            looks += 1

    async def save(account_id: UUID) -> None:
        repository = AccountRepository(store)
        account = opened(account_id)
        for number in range(15):
            await repository.save(account)
            account.deposit(Decimal("1.00"), f"no. {number}")

    async def batches(slots: Sequence[int]) -> None:
        for _ in range(15):
            events = [row for slot in slots for row in rows(busy(next(account_ids(slot))))]
            heads = await store.heads()
            await store.append_batch(
                {slot: heads[slot] for slot in slots}, events, [accepted(events[-4:])]
            )

    comparing = asyncio.create_task(compare())
    saved = [next(account_ids(slot)) for slot in (1, 1, 2)]
    await asyncio.gather(*map(save, saved), batches([3, 4]), batches([5]))
    done.set()
    await comparing
    assert looks > 5
    assert await reader.fetchval(DIFFERENT) == 0
    assert await reader.fetchval(SUM) == 3 * 114 + 3 * 15 * 103
    assert dict(await reader.fetch(POSITIONS)) == await store.heads()


async def test_an_append_that_is_refused_leaves_neither_event_nor_row(
    store: PostgresEventStore, reader: asyncpg.Connection
) -> None:
    accounts = AccountRepository(store)
    account = opened()
    await accounts.save(account)
    before = dict(await reader.fetch(POSITIONS))
    late = await accounts.get(account.id)
    account.deposit(Decimal("5.00"))
    await accounts.save(account)
    late.deposit(Decimal("7.00"))
    with pytest.raises(ConcurrencyError):
        await accounts.save(late)
    command = uuid4()
    slot = slot_of(account.id)
    await store.append_batch({slot: before[slot] + 1}, [], [rejected(account.id, command)])
    other = rows(opened(next(account_ids(slot))))
    with pytest.raises(DuplicateCommand):
        await store.append_batch({slot: before[slot] + 1}, other, [accepted(other, command)])
    assert tuple(await reader.fetchrow(BOTH, account.id)) == (2, 2)
    assert await reader.fetchval(SUM) == Decimal("105.00")
    assert dict(await reader.fetch(POSITIONS)) == {**before, slot: before[slot] + 1}


async def test_a_fold_that_fails_refuses_the_append(
    store: PostgresEventStore, reader: asyncpg.Connection
) -> None:
    """Seen to fail (the withdrawal is stored) with the append committed by itself, without the
    trigger.
    """
    account_id = uuid4()
    opening, deposit = rows(busy(account_id, movements=1))
    overdrawn = deposit._replace(
        event_type="MoneyWithdrawn",
        schema_version=1,
        data=f'{{"account_id": "{account_id}", "amount": "100.01", "reference": ""}}',
    )
    await store.append_batch({opening.slot: 0}, [opening], [accepted([opening])])
    command = accepted([overdrawn])
    with pytest.raises(InlineRefused, match=r"inline_balance.*accounts_balance_check") as refusal:
        await store.append_batch({opening.slot: 1}, [overdrawn], [command])
    assert isinstance(refusal.value, EventStoreError)
    assert tuple(await reader.fetchrow(BOTH, account_id)) == (1, 1)
    assert await store.outcomes([command.command_id]) == {}
    await store.append_batch({opening.slot: 1}, [deposit], [command])
    assert tuple(await reader.fetchrow(BOTH, account_id)) == (2, 2)


async def test_whoever_appends_without_it_is_refused(
    store: PostgresEventStore, plain: PostgresEventStore, owner: asyncpg.Connection
) -> None:
    """Seen to fail (the event is stored and the row stays behind) without the trigger."""
    account = opened()
    with pytest.raises(StoreMismatch, match="inline_balance would stay behind"):
        await AccountRepository(plain).save(account)
    assert set((await plain.heads()).values()) == {0}
    await AccountRepository(store).save(account)
    await remove_inline(owner, BALANCE)
    account.deposit(Decimal("1.00"))
    await AccountRepository(plain).save(account)
    with pytest.raises(StoreMismatch, match="not migrated"):
        await InlineProjections(BALANCE).check(owner)


async def test_installing_folds_the_log_first_while_others_append(
    plain: PostgresEventStore, pools: OpenPool, owner: asyncpg.Connection
) -> None:
    """Writers without the projection run into its guard at some moment; what they stored by then is
    in the rows, and those who append with it go on.
    """
    for slot in range(6):
        await plain.append_batch({slot: 0}, rows(busy(next(account_ids(slot)), 300)), [])
    ended = 0

    async def write(slot: int) -> None:
        nonlocal ended
        for _ in range(5_000):
            try:
                await AccountRepository(plain).save(opened(next(account_ids(slot))))
            except StoreMismatch:
                ended += 1
                return

    async with asyncio.TaskGroup() as group:
        for slot in (3, 40):
            group.create_task(write(slot))
        folded = await install_inline(owner, plain, BALANCE)
    assert ended == 2
    heads = await plain.heads()
    assert folded == sum(heads.values()) >= 6 * 301
    assert await owner.fetchval(DIFFERENT) == 0
    assert dict(await owner.fetch(POSITIONS)) == heads
    assert await install_inline(owner, plain, BALANCE) == 0
    pool = await pools("passbook_command_service")
    store = PostgresEventStore(pool, inline=InlineProjections(BALANCE))
    await AccountRepository(store).save(opened(next(account_ids(3))))
    assert await owner.fetchval(DIFFERENT) == 0


async def test_a_rebuild_beside_it_does_not_stop_the_appends(
    store: PostgresEventStore,
    database: Database,
    pools: OpenPool,
    owner: asyncpg.Connection,
) -> None:
    """The rows are replaced by rebuilt ones while others append, and those are kept from then on."""
    accounts = AccountRepository(store)
    await store.append_batch({5: 0}, rows(*(busy(next(account_ids(5)), 50) for _ in range(20))), [])
    before = await owner.fetchval(TABLE)
    done = asyncio.Event()

    async def save_on(slot: int) -> None:
        while not done.is_set():
            account = opened(next(account_ids(slot)))
            await accounts.save(account)
            account.deposit(Decimal("1.00"))
            await accounts.save(account)

    async with asyncio.TaskGroup() as group:
        for slot in (5, 6):
            group.create_task(save_on(slot))
        try:
            pool = await pools(size=8)
            reading = PostgresEventStore(pool)
            rebuilding = Rebuilding(BALANCE, pool, reading, database.environment_id)
            result = await rebuilding.rebuild()
        finally:
            done.set()
    assert result.ok
    assert await owner.fetchval(TABLE) != before
    await accounts.save(opened())
    assert await owner.fetchval(DIFFERENT) == 0
    assert dict(await owner.fetch(POSITIONS)) == await store.heads()
    await remove_inline(owner, BALANCE)
    assert await owner.fetchval(LEFT) == 0


async def test_only_what_exists_and_is_installed_is_taken(
    pools: OpenPool, owner: asyncpg.Connection
) -> None:
    pool = await pools("passbook_command_service")
    assert await inline_hook(pool, []) is None
    with pytest.raises(StoreMismatch, match="audit has no inline form"):
        await inline_hook(pool, ["audit"])
    with pytest.raises(StoreMismatch, match="nonsense has no inline form"):
        await inline_hook(pool, ["nonsense"])
    with pytest.raises(StoreMismatch, match="not migrated"):
        await inline_hook(pool, ["balance"])
    await apply_migrations(owner, projection_migrations(BALANCE))
    with pytest.raises(StoreMismatch, match="only half installed"):
        await inline_hook(pool, ["balance"])
    await install_inline(owner, PostgresEventStore(pool), BALANCE)
    assert await inline_hook(pool, ["balance"]) is not None


async def test_the_hook_gets_events_as_they_are_read_back(pools: OpenPool) -> None:
    recorded: list[object] = []

    async def hook(_connection: asyncpg.Connection, events: Sequence[object]) -> None:
        recorded.extend(events)

    store = PostgresEventStore(await pools("passbook_command_service"), inline=hook)
    one, two = busy(next(account_ids(5))), opened(next(account_ids(9)))
    await store.append_batch({5: 0, 9: 0}, rows(one, two, metadata='{"command_id":"x"}'), [])
    await store.append(two.id, opened(two.id).pending_events[:0], 1)
    assert recorded == [*await store.history(one.id), *await store.history(two.id)]
