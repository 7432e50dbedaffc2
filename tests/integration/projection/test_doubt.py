"""Invariant 9 at the projectors: an account, or all of it, stops where going on would be wrong."""

from typing import Final

import asyncpg
import pytest

from passbook.eventstore.errors import StoreUnavailable
from passbook.eventstore.postgres import PostgresEventStore
from passbook.projection import parking
from passbook.projection import runtime as runtime_module
from passbook.projection.healing import Healing, parked_accounts
from passbook.projection.protocol import ProjectionStopped
from passbook.telemetry import PROJECTION_PARKED
from services.audit_projector.projection import AuditProjection
from services.balance_projector.projection import BalanceProjection
from tests.integration.projection.reading import arrivals, balances, folded, positions, started
from tests.support.accounts import account_ids, busy, rows
from tests.support.databases import Connect, Database, OpenPool
from tests.support.proxy import proxied

_PARKED: Final = "SELECT account_id, slot, slot_seq, events, reason FROM projections.parked"


async def test_invariant_9_an_account_that_does_not_fit_is_parked_and_the_others_flow(
    store: PostgresEventStore,
    balance_pool: asyncpg.Pool,
    reader: asyncpg.Connection,
    connect: Connect,
) -> None:
    """Somebody has changed a row of the read model by hand. Its neighbours in the slot, also those
    in the same batch, go on; its further events are counted, also after a restart.

    Seen to fail: with the batch applied again as a whole instead of account by account.
    """
    bad, good = next(account_ids(5)), next(account_ids(5))
    first = rows(busy(bad, 1), busy(good, 1))
    await store.append_batch({5: 0}, first, [])
    live = await started(BalanceProjection(), balance_pool, store)
    await live.apply(await arrivals(store))
    await (await connect()).execute(
        "UPDATE balances.accounts SET version = 7 WHERE account_id = $1", bad
    )

    await store.append_batch({5: 4}, [*rows(busy(bad, 3))[2:], *rows(busy(good, 3))[2:]], [])
    await live.apply(await arrivals(store))

    parked = await reader.fetch(_PARKED)
    assert [tuple(row)[:4] for row in parked] == [(bad, 5, 5, 2)]
    assert parked[0]["reason"] == f"{bad}: no row at version 2"
    assert PROJECTION_PARKED.labels("balance")._value.get() == 1
    assert (await balances(reader))[good] == (await folded(store, {5: 8}))[good]
    assert await positions(reader, "balance") == {5: 8}

    await store.append_batch({5: 8}, [*rows(busy(bad, 4))[4:], *rows(busy(good, 4))[4:]], [])
    again = await started(BalanceProjection(), balance_pool, store)
    await again.apply(await arrivals(store))
    assert [tuple(row)[:4] for row in await reader.fetch(_PARKED)] == [(bad, 5, 5, 3)]
    assert (await balances(reader))[good][3] == 5
    assert (await balances(reader))[bad][3] == 7


async def test_a_balance_that_the_table_refuses_parks_the_account(
    store: PostgresEventStore, balance_pool: asyncpg.Pool, reader: asyncpg.Connection
) -> None:
    """No aggregate would do it: the event was written by somebody else. What came before it in the
    same batch is applied.
    """
    bad, good = next(account_ids(5)), next(account_ids(5))
    opening, deposit = rows(busy(bad, 1))
    overdraft = deposit._replace(
        event_type="MoneyWithdrawn",
        schema_version=1,
        data=f'{{"account_id": "{bad}", "amount": "500.00", "reference": ""}}',
    )
    await store.append_batch({5: 0}, [opening, overdraft, *rows(busy(good, 1))], [])
    live = await started(BalanceProjection(), balance_pool, store)

    await live.apply(await arrivals(store))

    shown = await balances(reader)
    assert {account_id: row[3] for account_id, row in shown.items()} == {bad: 1, good: 2}
    parked = await reader.fetch(_PARKED)
    assert [tuple(row)[:4] for row in parked] == [(bad, 5, 2, 1)]


async def test_one_account_more_than_may_be_parked_stops_the_projection_until_some_are_healed(
    store: PostgresEventStore,
    balance_pool: asyncpg.Pool,
    reader: asyncpg.Connection,
    connect: Connect,
    pools: OpenPool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not before, not after, and however many instances share the work.

    Seen to fail: with a limit that is one higher, and with each instance counting its own.
    """
    monkeypatch.setattr(parking, "_MOST_PARKED", 2)
    bad = [next(account_ids(slot)) for slot in (5, 5, 9)]
    for slot, some in ((5, bad[:2]), (9, bad[2:])):
        await store.append_batch({slot: 0}, rows(*(busy(one, 0) for one in some)), [])
    first = await started(BalanceProjection(), balance_pool, store)
    second = await started(BalanceProjection(), balance_pool, store)
    await first.apply(await arrivals(store, [5]))
    await second.apply(await arrivals(store, [9]))
    owner = await connect()
    await owner.execute("UPDATE balances.accounts SET version = 7")
    for slot, head, some in ((5, 2, bad[:2]), (9, 1, bad[2:])):
        later = [row for one in some for row in rows(busy(one, 1))[1:]]
        await store.append_batch({slot: head}, later, [])

    await first.apply(await arrivals(store, [5]))
    for _ in range(2):
        with pytest.raises(ProjectionStopped, match=r"2 accounts are parked .* rebuild"):
            await second.apply(await arrivals(store, [9]))
        second = await started(BalanceProjection(), balance_pool, store)
    assert {row["account_id"] for row in await reader.fetch(_PARKED)} == set(bad[:2])
    assert await positions(reader, "balance") == {5: 4, 9: 1}

    healing = Healing(BalanceProjection(), await pools(), store)
    for parked in await parked_accounts(reader, "balance"):
        assert (await healing.refold(parked)).reason is None
    await second.apply(await arrivals(store, [9]))
    (parked,) = await parked_accounts(reader, "balance")
    assert (parked.account_id, parked.slot_seq) == (bad[2], 2)
    await healing.refold(parked)
    assert await balances(reader) == await folded(store, {5: 4, 9: 2})


async def test_a_batch_in_which_nobody_fits_changes_nothing(
    store: PostgresEventStore,
    balance_pool: asyncpg.Pool,
    reader: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parking, "_MOST_PARKED", 2)
    late = [row for _ in range(4) for row in rows(busy(next(account_ids(5)), 1))[1:]]
    await store.append_batch({5: 0}, late, [])
    live = await started(BalanceProjection(), balance_pool, store)

    with pytest.raises(ProjectionStopped, match="rebuild the projection"):
        await live.apply(await arrivals(store))

    assert await reader.fetch(_PARKED) == []
    assert await positions(reader, "balance") == {}


@pytest.mark.parametrize(
    "change", [{"event_type": "AccountPromoted"}, {"schema_version": 9}], ids=["type", "version"]
)
async def test_what_this_code_does_not_know_stops_balances_and_is_never_skipped(
    store: PostgresEventStore,
    balance_pool: asyncpg.Pool,
    reader: asyncpg.Connection,
    change: dict[str, str | int],
) -> None:
    """The rows stay as they were; the same events, known to newer code, go on where it stopped."""
    events = rows(busy(next(account_ids(5)), 3))
    unknown = events[2]._replace(**change)  # type: ignore[arg-type]
    await store.append_batch({5: 0}, [*events[:2], unknown, *events[3:]], [])
    arrived = await arrivals(store)
    live = await started(BalanceProjection(), balance_pool, store)
    await live.apply({5: arrived[5][:2]})

    for _ in range(2):
        with pytest.raises(ProjectionStopped, match="upgrade this reader"):
            await live.apply(arrived)
    assert await positions(reader, "balance") == {5: 2}
    assert await balances(reader) == await folded(store, {5: 2})

    known = arrived[5][2]._replace(event_type="MoneyDeposited", schema_version=2)
    await live.apply({5: [known, arrived[5][3]]})
    assert [row[3] for row in (await balances(reader)).values()] == [4]


async def test_the_audit_log_records_what_it_does_not_know(
    store: PostgresEventStore, audit_pool: asyncpg.Pool, reader: asyncpg.Connection
) -> None:
    """Evidence needs no understanding."""
    event = rows(busy(next(account_ids(5)), 0))[0]._replace(event_type="AccountPromoted")
    await store.append_batch({5: 0}, [event], [])
    live = await started(AuditProjection(), audit_pool, store)
    await live.apply(await arrivals(store))
    assert await reader.fetchval("SELECT event_type FROM audit.entries") == "AccountPromoted"


async def test_an_audit_entry_that_does_not_fit_stops_all_of_it(
    store: PostgresEventStore,
    audit_pool: asyncpg.Pool,
    reader: asyncpg.Connection,
    connect: Connect,
) -> None:
    """Evidence without an entry is none: nothing is ever parked here."""
    await store.append_batch({5: 0}, rows(busy(next(account_ids(5)), 1)), [])
    live = await started(AuditProjection(), audit_pool, store)
    await live.apply(await arrivals(store))
    owner = await connect()
    await owner.execute(
        "UPDATE projections.positions SET slot_seq = 1 WHERE projection = 'audit' AND slot = 5"
    )

    again = await started(AuditProjection(), audit_pool, store)
    with pytest.raises(ProjectionStopped, match="duplicate key"):
        await again.apply(await arrivals(store))
    assert await reader.fetch(_PARKED) == []
    assert await positions(reader, "audit") == {5: 1}


async def test_a_database_that_stops_to_answer_is_unavailable_and_nothing_is_half_done(
    store: PostgresEventStore,
    database: Database,
    reader: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seen to fail: with `asyncio.timeout`, which the driver's rollback outlives."""
    monkeypatch.setattr(runtime_module, "_APPLY_TIMEOUT_S", 0.5)
    await store.append_batch({5: 0}, rows(busy(next(account_ids(5)), 3)), [])
    arrived = await arrivals(store)
    async with proxied(database.dsn("passbook_balance_projector")) as (proxy, dsn):
        pool = await asyncpg.create_pool(dsn, min_size=1, max_size=1)
        live = await started(BalanceProjection(), pool, store)
        await live.apply({5: arrived[5][:1]})
        proxy.hold_answers()
        with pytest.raises(StoreUnavailable):
            await live.apply(arrived)
        pool.terminate()
    assert await positions(reader, "balance") == {5: 1}
    assert await balances(reader) == await folded(store, {5: 1})
