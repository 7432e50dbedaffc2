"""Rebalances: for how long a partition stands still when an instance comes, goes or dies."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID, uuid4

from passbook.cli.bench.environment import (
    COMMAND_SERVICE,
    Environment,
    Servers,
    bench_environment,
)
from passbook.cli.bench.instances import Instance, instances, joined
from passbook.cli.bench.log import movement
from passbook.cli.bench.stalls import Counts, Stalls
from passbook.cli.bench.workload import SOURCE
from passbook.domain.commands import Command, DepositMoney, OpenAccount
from passbook.domain.slots import slot_of
from passbook.eventstore.ids import batch_stamp
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.store import new_event
from passbook.messaging.cloudevents import format_time
from passbook.messaging.commands import encode
from passbook.messaging.producer import Producer
from passbook.service import alongside, database_pool

CHANGES: Final = ("added", "terminated", "killed")
"""What happens to the second instance of a service."""
_BALANCES: Final = "balance-projector"
_EVERY_S: Final = 0.05
_HEADS: Final = "SELECT slot, head FROM eventstore.slots WHERE slot < $1"
_APPLIED: Final = """
SELECT slot, slot_seq FROM projections.positions WHERE projection = 'balance' AND slot < $1
"""

Send = Callable[[], Awaitable[None]]


async def measure_rebalances(
    servers: Servers, session_timeout_s: int
) -> dict[str, dict[str, float]]:
    """Return service → change → the longest time, in seconds, that a partition had no progress."""
    async with (
        bench_environment(servers) as commands,
        bench_environment(servers) as events,
        _commands_sent(commands) as send,
        events_stored(events) as store,
        instances(events, "outbox-relay", 1),
        asyncio.TaskGroup() as group,
    ):
        deciding = group.create_task(
            _disturbed(
                commands, COMMAND_SERVICE, send, _counts(commands, _HEADS), session_timeout_s
            )
        )
        applying = group.create_task(
            _disturbed(events, _BALANCES, store, _counts(events, _APPLIED), session_timeout_s)
        )
    return {"command outcomes": deciding.result(), "balances": applying.result()}


async def _disturbed(
    environment: Environment, service: str, send: Send, counts: Counts, session_timeout_s: int
) -> dict[str, float]:
    """Return for how long something stood still at each change."""
    setting = {"PASSBOOK_KAFKA_SESSION_TIMEOUT_S": str(session_timeout_s)}
    stalls, longest = Stalls(counts), dict.fromkeys(CHANGES, 0.0)
    async with instances(environment, service, 1, **setting) as running:
        await joined(environment, service, 1)
        async with alongside(_load(send), stalls.run()):
            for last in ("terminated", "terminated", "killed"):
                await asyncio.sleep(1)
                stalls.begin()
                second = Instance(environment, service, **setting)
                running.append(second)
                await joined(environment, service, 2)
                longest["added"] = max(longest["added"], await stalls.longest())
                stalls.begin()
                await second.end(signal.SIGKILL if last == "killed" else signal.SIGTERM)
                await joined(environment, service, 1)
                longest[last] = max(longest[last], await stalls.longest())
    return {change: round(seconds, 2) for change, seconds in longest.items()}


async def _load(send: Send) -> None:
    while True:
        await asyncio.sleep(_EVERY_S)
        await send()


def _counts(environment: Environment, query: str) -> Counts:
    async def counts() -> dict[int, int]:
        return dict(await environment.admin.fetch(query, environment.settings.topics.partitions))

    return counts


@asynccontextmanager
async def _commands_sent(environment: Environment) -> AsyncIterator[Send]:
    """Give what sends one command to every partition."""
    settings = environment.settings
    accounts = account_in_each_slot(settings.topics.partitions)
    async with Producer(settings.kafka, client_id="bench") as producer:

        async def send(commands: list[Command]) -> None:
            now = format_time(datetime.now(UTC))
            records = [
                [encode(one, command_id=uuid4(), source=SOURCE, time=now)] for one in commands
            ]
            await producer.publish(settings.topics.commands, dict(enumerate(records)))

        await send([OpenAccount(one, "Bench", Decimal("500.00")) for one in accounts])
        yield lambda: send([DepositMoney(one, Decimal("1.00")) for one in accounts])


@asynccontextmanager
async def events_stored(environment: Environment) -> AsyncIterator[Send]:
    """Give what stores one event for every partition; no command is decided for it."""
    settings = environment.settings
    accounts = account_in_each_slot(settings.topics.partitions)
    async with database_pool(settings.event_store, "passbook-bench") as pool:
        store = PostgresEventStore(pool)
        version = 0

        async def send() -> None:
            nonlocal version
            stamp = batch_stamp()
            await store.append_batch(
                dict.fromkeys(range(len(accounts)), version),
                [
                    new_event(slot, one, movement(one, version + 1, *stamp()), "{}")
                    for slot, one in enumerate(accounts)
                ],
                [],
            )
            version += 1

        yield send


def account_in_each_slot(slots: int) -> list[UUID]:
    """Return the id of an account for each of the first slots."""
    found: dict[int, UUID] = {}
    while len(found) < slots:
        account_id = uuid4()
        if (slot := slot_of(account_id)) < slots:
            found.setdefault(slot, account_id)
    return [found[slot] for slot in range(slots)]
