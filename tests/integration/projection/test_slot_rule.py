"""Only the next number: duplicates are skipped, gaps are fetched, zombies are fenced."""

import asyncio

import asyncpg
import pytest
from structlog.testing import capture_logs

from passbook.eventstore.postgres import PostgresEventStore
from passbook.projection import runtime as runtime_module
from passbook.projection.protocol import ProjectionStopped
from passbook.telemetry import PROJECTION_DUPLICATES, PROJECTION_FENCED, PROJECTION_GAPS
from services.audit_projector.projection import AuditProjection
from services.balance_projector.projection import BalanceProjection
from tests.integration.projection.reading import (
    arrivals,
    balances,
    folded,
    positions,
    started,
    write_history,
)
from tests.support.accounts import account_ids, busy, rows


@pytest.fixture(autouse=True)
async def _history(store: PostgresEventStore) -> None:
    """Have six events in slot 5 and two in slot 9."""
    five, nine = next(account_ids(5)), next(account_ids(9))
    await store.append_batch({5: 0, 9: 0}, rows(busy(five, 5), busy(nine, 1)), [])


async def test_duplicates_are_skipped(
    store: PostgresEventStore, balance_pool: asyncpg.Pool, reader: asyncpg.Connection
) -> None:
    """Seen to fail: without the comparison of the number with the position, at the version."""
    arrived = await arrivals(store)
    live = await started(BalanceProjection(), balance_pool, store)
    before = PROJECTION_DUPLICATES.labels("balance")._value.get()
    await live.apply(arrived)
    await live.apply(arrived)
    await live.apply({5: [*arrived[5][2:], *arrived[5]]})
    assert PROJECTION_DUPLICATES.labels("balance")._value.get() - before == 8 + 10
    assert await balances(reader) == await folded(store, {5: 6, 9: 2})


async def test_a_gap_is_fetched_from_the_store(
    store: PostgresEventStore, audit_pool: asyncpg.Pool, reader: asyncpg.Connection
) -> None:
    """Seen to fail: without `_fetch`, the entries are not contiguous."""
    arrived = await arrivals(store)
    live = await started(AuditProjection(), audit_pool, store)
    before = PROJECTION_GAPS.labels("audit")._value.get()
    with capture_logs() as logs:
        await live.apply({5: [arrived[5][1], arrived[5][4]]})
    assert PROJECTION_GAPS.labels("audit")._value.get() - before == 3
    gaps = [
        (entry["slot"], entry["expected"], entry["found"])
        for entry in logs
        if entry["event"] == "projection.gap"
    ]
    assert gaps == [(5, 1, 2), (5, 3, 5)]
    numbers = await reader.fetch("SELECT slot_seq FROM audit.entries WHERE slot = 5 ORDER BY 1")
    assert [row[0] for row in numbers] == [1, 2, 3, 4, 5]
    assert await positions(reader, "audit") == {5: 5}


async def test_a_number_that_the_store_does_not_have_stops_the_projection(
    store: PostgresEventStore, balance_pool: asyncpg.Pool, reader: asyncpg.Connection
) -> None:
    live = await started(BalanceProjection(), balance_pool, store)
    impossible = (await arrivals(store))[5][0]._replace(slot_seq=1000)
    with pytest.raises(ProjectionStopped, match="Kafka has number 1000, the event store ends at 6"):
        await live.apply({5: [impossible]})
    assert await balances(reader) == {}


async def test_a_long_gap_is_worked_off_in_portions(
    store: PostgresEventStore,
    audit_pool: asyncpg.Pool,
    reader: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Memory is bounded by batches, not by lag.

    Seen to fail: before it was mended, one batch had all the events of the gap.
    """
    monkeypatch.setattr(runtime_module, "_READ_LIMIT", 10)
    events = rows(*(busy(next(account_ids(5)), 9) for _ in range(10)))
    await store.append_batch({5: 6}, events, [])
    arrived = await arrivals(store, [5])
    projection, sizes = AuditProjection(), list[int]()
    apply = projection.apply

    async def measured(connection: asyncpg.Connection, events: list[object]) -> None:
        sizes.append(len(events))
        await apply(connection, events)  # type: ignore[arg-type]

    monkeypatch.setattr(projection, "apply", measured)
    live = await started(projection, audit_pool, store)
    await live.apply({5: arrived[5][-1:]})
    assert sum(sizes) == 106
    assert max(sizes) <= 11
    assert await positions(reader, "audit") == {5: 106}


async def test_a_zombie_is_fenced(
    store: PostgresEventStore, balance_pool: asyncpg.Pool, reader: asyncpg.Connection
) -> None:
    """Two instances that read their positions at the same time get the same events: what the
    second one does is undone, and it goes on from where the first one is.

    Seen to fail: with positions that are set instead of compared and set.
    """
    arrived = await arrivals(store)
    first = await started(BalanceProjection(), balance_pool, store)
    zombie = await started(BalanceProjection(), balance_pool, store)
    before = PROJECTION_FENCED.labels("balance")._value.get()

    await first.apply({5: arrived[5][:3]})
    await zombie.apply({5: arrived[5][:2], 9: arrived[9]})
    assert await balances(reader) == await folded(store, {5: 3, 9: 2})
    await zombie.apply({5: arrived[5]})
    await first.apply(arrived)

    assert PROJECTION_FENCED.labels("balance")._value.get() - before == 2
    assert await balances(reader) == await folded(store, {5: 6, 9: 2})


async def test_three_instances_at_once_make_what_one_would(
    store: PostgresEventStore,
    audit_pool: asyncpg.Pool,
    balance_pool: asyncpg.Pool,
    reader: asyncpg.Connection,
) -> None:
    """The same events to all of them, at the same time."""
    await write_history(store, 11, accounts=20, steps=200)
    arrived = await arrivals(store)
    live = [
        *[await started(BalanceProjection(), balance_pool, store) for _ in range(3)],
        *[await started(AuditProjection(), audit_pool, store) for _ in range(3)],
    ]
    for start in range(0, 30, 3):
        poll = {slot: events[start : start + 3] for slot, events in arrived.items()}
        await asyncio.gather(*(one.apply(poll) for one in live))

    heads = {slot: head for slot, head in (await store.heads()).items() if head}
    assert await positions(reader, "balance") == await positions(reader, "audit") == heads
    assert await balances(reader) == await folded(store, heads)
    entries = await reader.fetchval("SELECT count(*) FROM audit.entries")
    assert entries == sum(heads.values())
