"""Inline: what it costs that an append keeps the balances in its own transaction."""

import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID, uuid4

from rich.table import Table

from passbook.cli.bench.environment import Environment, bench_environment, bench_servers
from passbook.cli.bench.log import movement
from passbook.cli.output import err
from passbook.domain.slots import SLOT_COUNT, slot_of
from passbook.eventstore.ids import batch_stamp
from passbook.eventstore.pool import open_pool
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.store import CommandOutcome, NewEvent, new_event
from passbook.projection.inline import InlineProjections, inline_projections, install_inline

BATCHES: Final = (1, 50, 500)
_ACCOUNTS: Final = 2_000
_TURNS: Final = 5
"""Both sides take turns, so that whatever the machine does meanwhile is done to both."""
_DIFFERENT: Final = """
SELECT count(*) FROM (SELECT stream_id, max(version) AS version
                        FROM eventstore.events GROUP BY stream_id) e
  FULL JOIN inline_balances.accounts a ON a.account_id = e.stream_id
 WHERE a.version IS DISTINCT FROM e.version
"""


class _Side:
    """One of the two stores, with accounts of its own that have been opened."""

    def __init__(self, store: PostgresEventStore) -> None:
        self._store = store
        self._owners = [(slot_of(one), one) for one in (uuid4() for _ in range(_ACCOUNTS))]
        self._heads = dict.fromkeys(range(SLOT_COUNT), 0)
        self._number = 0

    async def open(self) -> None:
        """Open every account; appends after this one move money."""
        await self._store.append_batch(*self._batch(_ACCOUNTS))

    async def turn(self, size: int, seconds: float) -> list[float]:
        """Append batches of so many events one after the other; return how long each took, in s."""
        times: list[float] = []
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends:
            batch = self._batch(size)
            started = time.perf_counter()
            await self._store.append_batch(*batch)
            times.append(time.perf_counter() - started)
        return times

    def _batch(self, size: int) -> tuple[dict[int, int], list[NewEvent], list[CommandOutcome]]:
        stamp = batch_stamp()
        events: list[NewEvent] = []
        outcomes: list[CommandOutcome] = []
        for number in range(self._number, self._number + size):
            slot, account_id = self._owners[number % _ACCOUNTS]
            event = movement(account_id, number // _ACCOUNTS + 1, *stamp())
            command_id = uuid4()
            events.append(new_event(slot, account_id, event, f'{{"command_id": "{command_id}"}}'))
            outcomes.append(_accepted(command_id, events[-1]))
        self._number += size
        heads = {row.slot: self._heads[row.slot] for row in events}
        for row in events:
            self._heads[row.slot] += 1
        return heads, events, outcomes


async def measure_inline(seconds: int) -> dict[str, Any]:
    """Return the report of one run of about so many seconds; see `passbook bench inline --help`."""
    (balance,) = inline_projections(["balance"])
    async with (
        bench_servers() as servers,
        bench_environment(servers) as one,
        bench_environment(servers) as other,
        _store(one) as plain,
        _store(other) as empty,
        _store(other, InlineProjections(balance)) as inline,
    ):
        await install_inline(other.admin, empty, balance)
        figures = await compare({"plain": plain, "inline": inline}, seconds)
        different = await other.admin.fetchval(_DIFFERENT)
    return {"seconds": seconds, "batches": figures, "rows_right": different == 0}


async def compare(stores: dict[str, PostgresEventStore], seconds: float) -> list[dict[str, Any]]:
    """Return, for each size of batches, the figures of the stores "plain" and "inline", both empty,
    and the cost: how many times as long an inline append takes, at the median.
    """
    sides = {name: _Side(store) for name, store in stores.items()}
    for side in sides.values():
        await side.open()
    figures = []
    for size in BATCHES:
        with err().status(f"appending batches of {size:,}, with and without inline balances"):
            figures.append(await _compare(sides, size, seconds / len(BATCHES) / _TURNS / 2))
    return figures


def inline_table(report: dict[str, Any]) -> Table:
    """Return what a person wants to know of it."""
    table = Table(title="one appender, with and without inline balances")
    table.add_column("events in a batch", justify="right")
    for side in ("plain", "inline"):
        for column in ("events/s", "p50 ms", "p99 ms"):
            table.add_column(f"{side} {column}", justify="right")
    table.add_column("cost", justify="right")
    for row in report["batches"]:
        cells = [
            text
            for side in (row["plain"], row["inline"])
            for text in (
                f"{side['events_per_s']:,}",
                f"{side['p50_ms']:.2f}",
                f"{side['p99_ms']:.2f}",
            )
        ]
        table.add_row(str(row["events"]), *cells, f"{row['cost']:.2f} times")
    return table


@asynccontextmanager
async def _store(
    environment: Environment, inline: InlineProjections | None = None
) -> AsyncIterator[PostgresEventStore]:
    pool = await open_pool(environment.settings.event_store, application="passbook-bench", size=1)
    try:
        yield PostgresEventStore(pool, inline=inline)
    finally:
        await pool.close()


async def _compare(sides: dict[str, _Side], size: int, turn_s: float) -> dict[str, Any]:
    times: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        await side.turn(size, turn_s / 4)
    for _ in range(_TURNS):
        for name, side in sides.items():
            times[name] += await side.turn(size, turn_s)
    found = {name: _figures(size, each) for name, each in times.items()}
    medians = {name: statistics.median(each) for name, each in times.items()}
    return {
        "events": size,
        **found,
        "cost": round(medians["inline"] / medians["plain"], 2),
    }


def _figures(size: int, times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    per_s = len(times) / sum(times)
    return {
        "appends_per_s": round(per_s),
        "events_per_s": round(per_s * size),
        "p50_ms": round(ordered[len(ordered) // 2] * 1000, 3),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1000, 3),
    }


def _accepted(command_id: UUID, event: NewEvent) -> CommandOutcome:
    ids = (event.event_id,)
    moment = event.occurred_at
    return CommandOutcome(
        command_id, command_id.bytes, event.stream_id, event.version, ids, None, None, moment
    )
