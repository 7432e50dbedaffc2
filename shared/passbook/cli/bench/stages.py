"""Stages: how fast each service is when it has the machine to itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from passbook.cli.bench.environment import (
    COMMAND_SERVICE,
    Environment,
    bench_environment,
    bench_servers,
)
from passbook.cli.bench.workload import publish_backlog
from passbook.cli.output import err
from passbook.messaging.producer import Producer
from passbook.messaging.reader import TopicReader

_WARM_UP: Final = 20_000
_LOOK_EVERY_S: Final = 0.02
_PATIENCE_S: Final = 120.0

_APPENDED: Final = "SELECT sum(head)::bigint FROM eventstore.slots"
_APPLIED: Final = "SELECT sum(slot_seq)::bigint FROM projections.positions WHERE projection = $1"

Count = Callable[[], Awaitable[int]]


async def measure_stages(commands: int, accounts: int) -> dict[str, Any]:
    """Return the report of one run; see `passbook bench stages --help`.

    Raises:
        TimeoutError: a service did not get through.
    """
    async with bench_servers() as servers:
        with err().status("warming up: a broker that has just started is slow"):
            async with bench_environment(servers) as environment:
                await _one_after_the_other(environment, _WARM_UP, _WARM_UP // 10)
        async with bench_environment(servers) as environment:
            with err().status(f"{commands:,} commands, one service at a time"):
                return await _one_after_the_other(environment, commands, accounts)


async def _one_after_the_other(
    environment: Environment, commands: int, accounts: int
) -> dict[str, Any]:
    settings, admin = environment.settings, environment.admin
    async with Producer(settings.kafka, client_id="bench") as producer:
        expected = await publish_backlog(producer, settings.topics, commands, accounts)

    def applied(projection: str) -> Count:
        return lambda: admin.fetchval(_APPLIED, projection)

    events = expected.events
    async with TopicReader(
        settings.kafka,
        settings.topics.events,
        partitions=settings.topics.partitions,
        client_id="bench",
    ) as reader:

        async def published() -> int:
            return sum((await reader.ends()).values())

        return {
            "commands": commands,
            "events": events,
            # Counting commands would cost more than deciding them; rejected ones are in proportion.
            "decided_per_s": round(
                await _rate(environment, COMMAND_SERVICE, lambda: admin.fetchval(_APPENDED), events)
                * commands
                / events
            ),
            "published_per_s": await _rate(environment, "outbox-relay", published, events),
            "balance_per_s": await _rate(
                environment, "balance-projector", applied("balance"), events
            ),
            "audit_per_s": await _rate(environment, "audit-projector", applied("audit"), events),
        }


async def _rate(environment: Environment, service: str, count: Count, until: int) -> int:
    """Return what a service gets done in a second, from its first visible result to its last."""
    async with asyncio.timeout(_PATIENCE_S):
        running = asyncio.create_task(_first(count))
        async with environment.services([service]):
            began, first = await running
            while (done := await count()) < until:  # noqa: ASYNC110 - another process works
                await asyncio.sleep(_LOOK_EVERY_S)
            ended = time.perf_counter()
    return round((done - first) / max(ended - began, _LOOK_EVERY_S))


async def _first(count: Count) -> tuple[float, int]:
    while not (done := await count()):  # noqa: ASYNC110 - another process works
        await asyncio.sleep(_LOOK_EVERY_S)
    return time.perf_counter(), done
