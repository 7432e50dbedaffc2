"""Latency: how long one command takes at a fixed rate, to its outcome and to its balance."""

import asyncio
import gc
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg

from passbook.cli.bench.environment import (
    COMMAND_SERVICE,
    FOLLOWERS,
    Environment,
    bench_environment,
    bench_servers,
)
from passbook.cli.bench.floor import measure_floor
from passbook.cli.bench.workload import SOURCE
from passbook.cli.output import err
from passbook.domain.commands import Command, DepositMoney, OpenAccount
from passbook.domain.slots import partition_of, slot_of
from passbook.eventstore.doorbell import DoorbellListener
from passbook.messaging.cloudevents import format_time
from passbook.messaging.commands import encode
from passbook.messaging.producer import Producer
from passbook.messaging.reader import TopicReader
from passbook.projection.protocol import doorbell_channel
from passbook.service import alongside

_ACCOUNTS: Final = 1000
_WARM_UP_S: Final = 15
_DRAIN_S: Final = 30.0
_LOOK_AGAIN_S: Final = 0.05
_LOOK_AT: Final = 500
_OPENING_RATE: Final = 500
_SEEN: Final = """
SELECT p.place FROM unnest($1::uuid[], $2::integer[]) WITH ORDINALITY AS p(account_id, version, place)
  JOIN balances.accounts a ON a.account_id = p.account_id AND a.version >= p.version
"""


async def measure_latency(rate: int, seconds: int) -> dict[str, Any]:
    """Return the report of one run; see `passbook bench latency --help`.

    Raises:
        TimeoutError: some commands had no outcome or no balance long after the last was sent.
    """
    async with bench_servers() as servers, bench_environment(servers) as environment:
        with err().status("measuring the floor"):
            floor = await measure_floor(environment)
        async with environment.services([*FOLLOWERS, COMMAND_SERVICE]):
            answered, visible = await _measure(environment, rate, seconds)
    outcome, balance = _quantiles(answered), _quantiles(visible)
    least = 2 * floor["kafka_round_trip_ms"] + floor["commit_ms"]
    return {
        "rate": rate,
        "seconds": seconds,
        "outcome_ms": outcome,
        "balance_ms": balance,
        "floor_ms": floor,
        # The shortest way: a command to the service, a commit, the answer back; for the balance
        # one commit more.
        "ratio": {
            "outcome_p50": round(outcome["p50"] / least, 2),
            "balance_p50": round(balance["p50"] / (least + floor["commit_ms"]), 2),
        },
    }


class _Meter:
    """Sends commands when they are due and notes when their outcome and their balance are there."""

    def __init__(
        self,
        environment: Environment,
        producer: Producer,
        outcomes: TopicReader,
        watch: asyncpg.Connection,
        doorbell: DoorbellListener,
    ) -> None:
        self._topics = environment.settings.topics
        self._producer = producer
        self._outcomes = outcomes
        self._watch = watch
        self._doorbell = doorbell
        self._versions: dict[UUID, int] = {}
        self._unanswered: dict[bytes, float] = {}
        self._unseen: list[tuple[UUID, int, float]] = []

    async def run(self, commands: Sequence[Command], rate: int) -> tuple[list[float], list[float]]:
        """Return the seconds from due to answered, and from due to visible, of every command.

        Raises:
            TimeoutError: some were neither long after the last one was sent.
        """
        async with asyncio.timeout(len(commands) / rate + _DRAIN_S), asyncio.TaskGroup() as group:
            group.create_task(self._send(commands, rate))
            answered = group.create_task(self._note_outcomes(len(commands)))
            visible = group.create_task(self._note_balances(len(commands)))
        return answered.result(), visible.result()

    async def _send(self, commands: Sequence[Command], rate: int) -> None:
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number, command in enumerate(commands):
                due = start + number / rate
                await asyncio.sleep(due - time.perf_counter())
                # Not awaited: a slow acknowledgement must not delay the command after.
                group.create_task(self._send_one(command, due))

    async def _send_one(self, command: Command, due: float) -> None:
        command_id = uuid4()
        version = self._versions.get(command.account_id, 0) + 1
        self._versions[command.account_id] = version
        self._unanswered[str(command_id).encode()] = due
        self._unseen.append((command.account_id, version, due))
        record = encode(
            command, command_id=command_id, source=SOURCE, time=format_time(datetime.now(UTC))
        )
        partition = partition_of(slot_of(command.account_id), self._topics.partitions)
        await self._producer.publish(self._topics.commands, {partition: [record]})

    async def _note_outcomes(self, count: int) -> list[float]:
        times: list[float] = []
        while len(times) < count:
            for records in (await self._outcomes.poll(1.0)).values():
                now = time.perf_counter()
                for record in records:
                    due = self._unanswered.pop(dict(record.headers)["ce_commandid"], None)
                    if due is not None:
                        times.append(now - due)
        return times

    async def _note_balances(self, count: int) -> list[float]:
        times: list[float] = []
        while len(times) < count:
            await self._doorbell.wait(_LOOK_AGAIN_S)
            asked = self._unseen[:_LOOK_AT]
            if not asked:
                continue
            accounts, versions, _ = zip(*asked, strict=True)
            seen = {row[0] - 1 for row in await self._watch.fetch(_SEEN, accounts, versions)}
            now = time.perf_counter()
            times += [now - asked[place][2] for place in seen]
            self._unseen[: len(asked)] = [
                one for place, one in enumerate(asked) if place not in seen
            ]
        return times


async def _measure(environment: Environment, rate: int, seconds: int) -> tuple[list[float], ...]:
    settings = environment.settings
    topics = settings.topics
    accounts = [uuid4() for _ in range(_ACCOUNTS)]
    opening = [OpenAccount(account, "Bench", Decimal("500.00")) for account in accounts]
    watch = await asyncpg.connect(settings.read_model)
    doorbell = DoorbellListener(settings.read_model, doorbell_channel("balance"))
    try:
        async with (
            alongside(doorbell.run()),
            Producer(settings.kafka, client_id="bench") as producer,
            TopicReader(
                settings.kafka, topics.outcomes, partitions=topics.partitions, client_id="bench"
            ) as outcomes,
        ):
            meter = _Meter(environment, producer, outcomes, watch, doorbell)
            with err().status("opening accounts and warming up"):
                await meter.run(opening, _OPENING_RATE)
                await meter.run(_deposits(accounts, rate * _WARM_UP_S), rate)
            gc.collect()
            gc.freeze()
            with err().status(f"{rate} commands/s for {seconds} s"):
                return await meter.run(_deposits(accounts, rate * seconds), rate)
    finally:
        await watch.close()


def _deposits(accounts: Sequence[UUID], count: int) -> list[Command]:
    amount = Decimal("1.00")
    return [DepositMoney(accounts[number % len(accounts)], amount) for number in range(count)]


def _quantiles(times: Sequence[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        name: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2)
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
    }
