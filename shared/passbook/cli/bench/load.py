"""Load: what a snapshot saves when an account with a long history is loaded."""

import statistics
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
from rich.table import Table

from passbook.cli.bench.environment import bench_environment, bench_servers
from passbook.cli.output import err
from passbook.domain.account import BankAccount
from passbook.eventstore.pool import open_pool
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.repository import AccountRepository, SnapshottingAccountRepository
from passbook.eventstore.snapshots import INTERVAL, Snapshot
from passbook.eventstore.snapshots_postgres import PostgresSnapshotStore

_WARM_UP: Final = 2
_SAVED_AT_ONCE: Final = 500
_PENNY: Final = Decimal("0.01")


async def measure_load(events: int, rounds: int) -> dict[str, Any]:
    """Return the report of one run; see `passbook bench load --help`."""
    async with bench_servers() as servers, bench_environment(servers) as environment:
        pool = await open_pool(environment.settings.event_store, application="passbook-bench")
        try:
            with err().status(f"loading an account of {events:,} events"):
                return await _measure(pool, events, rounds)
        finally:
            await pool.close()


async def _measure(pool: asyncpg.Pool, events: int, rounds: int) -> dict[str, Any]:
    store, snapshots = PostgresEventStore(pool), PostgresSnapshotStore(pool)
    plain = AccountRepository(store)
    through_snapshots = SnapshottingAccountRepository(store, snapshots)
    # The worst case: the next event would be the one that leaves a newer snapshot.
    rest = min(INTERVAL - 1, events - 1)
    account_id = await _account(plain, snapshots, events, rest)
    replayed, restored = list[float](), list[float]()
    same = True
    for _ in range(_WARM_UP + rounds):
        full = await _timed(plain.get, account_id, replayed)
        quick = await _timed(through_snapshots.get, account_id, restored)
        same = same and Snapshot.of(full) == Snapshot.of(quick) and full.version == events
    replay_ms, snapshot_ms = _figures(replayed), _figures(restored)
    return {
        "events": events,
        "rest": rest,
        "rounds": rounds,
        "replay_ms": replay_ms,
        "snapshot_ms": snapshot_ms,
        "ratio": round(replay_ms["p50"] / snapshot_ms["p50"], 1),
        "same_account": same,
    }


async def _account(
    repository: AccountRepository, snapshots: PostgresSnapshotStore, events: int, rest: int
) -> UUID:
    """Store an account of so many events, with a snapshot in front of the last `rest` ones."""
    account = BankAccount.open(uuid4(), "Long History", Decimal("100.00"))
    for _ in range(events - 1):
        if len(account.pending_events) == _SAVED_AT_ONCE or account.version == events - rest:
            await repository.save(account)
        if account.version == events - rest:
            await snapshots.save([Snapshot.of(account)])
        account.deposit(_PENNY, "one of many")
    await repository.save(account)
    return account.id


async def _timed(
    load: Callable[[UUID], Awaitable[BankAccount]], account_id: UUID, times: list[float]
) -> BankAccount:
    began = time.perf_counter()
    account = await load(account_id)
    times.append(time.perf_counter() - began)
    return account


def _figures(times: list[float]) -> dict[str, float]:
    measured = [seconds * 1000 for seconds in times[_WARM_UP:]]
    return {"p50": round(statistics.median(measured), 3), "max": round(max(measured), 3)}


def load_table(report: dict[str, Any]) -> Table:
    """Return what a person wants to know of a load run."""
    table = Table(title=f"An account of {report['events']:,} events, loaded")
    for column in ("in ms", "p50", "max"):
        table.add_column(column, justify="left" if column == "in ms" else "right")
    for name, title in (
        ("replay_ms", "by replaying all of them"),
        ("snapshot_ms", f"from a snapshot and {report['rest']} events"),
    ):
        table.add_row(title, *(f"{report[name][key]:.2f}" for key in ("p50", "max")))
    table.add_row("ratio", f"{report['ratio']:g}", "")
    return table
