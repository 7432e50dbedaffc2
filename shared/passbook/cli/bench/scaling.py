"""Scaling: what more instances bring, and what it costs when one comes, goes or dies."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.console import Group
from rich.table import Table

from passbook.cli.bench.environment import (
    COMMAND_SERVICE,
    Environment,
    Servers,
    bench_environment,
    bench_servers,
)
from passbook.cli.bench.instances import frozen, instances, joined
from passbook.cli.bench.rebalances import CHANGES, measure_rebalances
from passbook.cli.bench.takeovers import ENDS, measure_takeovers
from passbook.cli.bench.workload import publish_backlog
from passbook.cli.output import err
from passbook.messaging.producer import Producer
from passbook.messaging.reader import TopicReader

INSTANCES: Final = (1, 2, 4)
SESSION_TIMEOUTS_S: Final = (6, 30)
_BALANCES: Final = "balance-projector"
_AUDIT: Final = "audit-projector"
_WARM_UP: Final = 10_000
_LOOK_EVERY_S: Final = 0.01
_PATIENCE_S: Final = 120.0
_JIFFIES_PER_S: Final = os.sysconf("SC_CLK_TCK")

_APPENDED: Final = "SELECT sum(head)::bigint FROM eventstore.slots"
_APPLIED: Final = "SELECT sum(slot_seq)::bigint FROM projections.positions WHERE projection = $1"

Count = Callable[[], Awaitable[int]]


async def measure_scaling(commands: int, repeats: int) -> dict[str, Any]:
    """Return the report of one run; see `passbook bench scaling --help`.

    Raises:
        TimeoutError: a service did not get through, or a group did not settle.
    """
    async with bench_servers() as servers:
        with err().status("warming up: a broker that has just started is slow"):
            await _with_instances(servers, 1, _WARM_UP)
        rates = {}
        for count in INSTANCES:
            with err().status(f"{commands:,} commands, {count} instances of one service at a time"):
                rates[str(count)] = await _with_instances(servers, count, commands)
        short, long = SESSION_TIMEOUTS_S
        with err().status(f"instances come and go, session timeout {short} s"):
            rebalances = {str(short): await measure_rebalances(servers, short)}
        # Most of this is waiting for the end of a session.
        with err().status(f"session timeout {long} s; and the leading relay ends"):
            async with asyncio.TaskGroup() as group:
                coming_and_going = group.create_task(measure_rebalances(servers, long))
                ending = group.create_task(measure_takeovers(servers, repeats))
        rebalances[str(long)], takeovers = coming_and_going.result(), ending.result()
    return {
        "commands": commands,
        "cores": os.cpu_count(),
        "instances": rates,
        "rebalance_s": rebalances,
        "takeover_s": {
            how: {"median": round(median(times), 2), "max": round(max(times), 2)}
            for how, times in takeovers.items()
        },
        "takeovers": repeats,
    }


async def _with_instances(servers: Servers, count: int, commands: int) -> dict[str, Any]:
    """Let so many instances of each service work off the same backlog, one service after another.

    Instances join their group first and are frozen while the backlog comes to be, so that all start
    at once and nobody else takes their time.
    """
    async with bench_environment(servers) as environment:
        topics, admin = environment.settings.topics, environment.admin

        def applied(projection: str) -> Count:
            return lambda: admin.fetchval(_APPLIED, projection)

        async with instances(environment, COMMAND_SERVICE, count) as deciders:
            await joined(environment, COMMAND_SERVICE, count)
            async with (
                frozen(deciders),
                Producer(environment.settings.kafka, client_id="bench") as producer,
            ):
                expected = await publish_backlog(producer, topics, commands, commands // 10)
                await admin.execute("CHECKPOINT")
            # Counting commands would cost more than deciding them; rejected ones are in proportion.
            decided = await _rate(
                lambda: admin.fetchval(_APPENDED), expected.events, commands / expected.events
            )
        async with (
            instances(environment, _BALANCES, count) as balances,
            instances(environment, _AUDIT, count) as audits,
        ):
            await joined(environment, _BALANCES, count)
            await joined(environment, _AUDIT, count)
            async with frozen(audits):
                async with frozen(balances):
                    await _publish(environment, expected.events)
                balance = await _rate(applied("balance"), expected.events)
            audit = await _rate(applied("audit"), expected.events)
    return {"command_service": decided, "balance_projector": balance, "audit_projector": audit}


async def _publish(environment: Environment, events: int) -> None:
    """Have a relay publish everything."""
    settings = environment.settings
    async with (
        TopicReader(
            settings.kafka,
            settings.topics.events,
            partitions=settings.topics.partitions,
            client_id="bench",
        ) as reader,
        instances(environment, "outbox-relay", 1),
        asyncio.timeout(_PATIENCE_S),
    ):
        while sum((await reader.ends()).values()) < events:  # noqa: ASYNC110 - another process works
            await asyncio.sleep(_LOOK_EVERY_S)


async def _rate(count: Count, until: int, weight: float = 1.0) -> dict[str, Any]:
    """Return how many a second get done until it is `until`, and how many cores were busy."""
    done, began, busy = await count(), time.perf_counter(), _busy_s()
    async with asyncio.timeout(_PATIENCE_S):
        while (now := await count()) < until:  # noqa: ASYNC110 - another process works
            await asyncio.sleep(_LOOK_EVERY_S)
    seconds = time.perf_counter() - began
    return {
        "per_s": round((now - done) * weight / seconds),
        "cores_busy": round((_busy_s() - busy) / seconds, 2),
    }


def _busy_s() -> float:
    """Return for how many seconds all cores together have worked. Source: proc(5), /proc/stat."""
    user, nice, system, _, _, interrupt, soft = map(
        int, Path("/proc/stat").read_text("ascii").split()[1:8]
    )
    return (user + nice + system + interrupt + soft) / _JIFFIES_PER_S


def scaling_table(report: dict[str, Any]) -> Group:
    """Return what a person wants to know of a run."""
    rates = Table(title=f"{report['commands']:,} commands as a backlog, {report['cores']} cores")
    rates.add_column("a second (cores busy)")
    for count in report["instances"]:
        rates.add_column(f"{count} instance{'s' if count != '1' else ''}", justify="right")
    for service in ("command_service", "balance_projector", "audit_projector"):
        found = [figures[service] for figures in report["instances"].values()]
        cells = [f"{one['per_s']:,} ({one['cores_busy']})" for one in found]
        rates.add_row(service.replace("_", " "), *cells)
    stops = Table(title="the longest that a partition stood still, in seconds")
    stops.add_column("session timeout")
    stops.add_column("of")
    for change in CHANGES:
        stops.add_column(change, justify="right")
    for timeout_s, services in report["rebalance_s"].items():
        for service, figures in services.items():
            stops.add_row(f"{timeout_s} s", service, *(f"{figures[one]:.2f}" for one in CHANGES))
    relays = Table(
        title=f"until the other relay publishes, in seconds, {report['takeovers']} times"
    )
    for column in ("the leader is", "median", "max"):
        relays.add_column(column, justify="left" if column == "the leader is" else "right")
    for how in ENDS:
        found = report["takeover_s"][how]
        relays.add_row(how, f"{found['median']:.2f}", f"{found['max']:.2f}")
    return Group(rates, stops, relays)
