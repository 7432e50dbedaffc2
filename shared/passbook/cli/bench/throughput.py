"""Throughput: how fast the services work off a backlog."""

import asyncio
import time
from typing import Any, Final

from passbook.cli.bench.environment import (
    COMMAND_SERVICE,
    FOLLOWERS,
    Environment,
    bench_environment,
    bench_servers,
    peak_rss_mb,
)
from passbook.cli.bench.floor import measure_floor
from passbook.cli.bench.invariants import broken_invariants
from passbook.cli.bench.workload import Expectation, publish_backlog
from passbook.cli.output import err
from passbook.embedded.supervisor import Supervisor
from passbook.messaging.producer import Producer
from passbook.messaging.reader import TopicReader

_WARM_UP: Final = 20_000
_STALLED_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.025

_FIRST_DECISION: Final = "SELECT min(decided_at) FROM eventstore.commands"
_LAST_APPEND: Final = "SELECT max(recorded_at) FROM eventstore.events"
_POSITIONS: Final = (
    "SELECT projection, sum(slot_seq)::bigint FROM projections.positions GROUP BY projection"
)


async def measure_throughput(commands: int, accounts: int) -> dict[str, Any]:
    """Return the report of one run; see `passbook bench throughput --help`.

    Raises:
        TimeoutError: the services stopped making progress.
    """
    async with bench_servers() as servers:
        with err().status("warming up: a broker that has just started is slow"):
            async with bench_environment(servers) as environment:
                await _work_off(environment, _WARM_UP, _WARM_UP // 10)
        async with bench_environment(servers) as environment:
            with err().status("measuring the floor"):
                floor = await measure_floor(environment)
            with err().status(f"{commands:,} commands"):
                report, expected = await _work_off(environment, commands, accounts)
            with err().status("checking the invariants"):
                failed = await broken_invariants(environment, commands, expected)
    report["invariants"] = {"ok": not failed, "failed": failed}
    report["floor"] = floor
    # One command at a time can do no better than a round trip to Kafka and a commit.
    report["ratio"] = {
        "end_to_end_to_single_commands": round(
            report["end_to_end_per_s"] * (floor["kafka_round_trip_ms"] + floor["commit_ms"]) / 1000,
            1,
        )
    }
    return report


async def _work_off(
    environment: Environment, commands: int, accounts: int
) -> tuple[dict[str, Any], Expectation]:
    """Publish a backlog, let the services work it off, and return the report on it."""
    settings = environment.settings
    async with Producer(settings.kafka, client_id="bench") as producer:
        expected = await publish_backlog(producer, settings.topics, commands, accounts)
    # A checkpoint and its full-page writes belong to the backlog before, not to this run.
    await environment.admin.execute("CHECKPOINT")
    async with environment.services(FOLLOWERS) as followers:
        return await _run(environment, followers, commands, expected), expected


async def _run(
    environment: Environment, followers: Supervisor, commands: int, expected: Expectation
) -> dict[str, Any]:
    async with environment.services([COMMAND_SERVICE]) as decider:
        done = await _until_current(environment, expected.events)
        running = [*decider.services, *followers.services]
        rss = {s.name: await peak_rss_mb(s.pid) for s in running if s.pid is not None}
    admin = environment.admin
    started = (await admin.fetchval(_FIRST_DECISION)).timestamp()
    decided = (await admin.fetchval(_LAST_APPEND)).timestamp()
    published = await _last_published(environment)
    return {
        "commands": commands,
        "accounts": len(expected.accounts),
        "events": expected.events,
        "rejected": commands - expected.events,
        "decided_per_s": round(commands / (decided - started)),
        "published_per_s": round(expected.events / (published - started)),
        "end_to_end_per_s": round(commands / (max(done.values()) - started)),
        "current_after_s": {name: round(at - started, 3) for name, at in done.items()},
        "rss_mb": rss,
    }


async def _until_current(environment: Environment, events: int) -> dict[str, float]:
    """Return when each read model had all events, as seconds since the epoch."""
    done: dict[str, float] = {}
    before, moved_at = -1, time.monotonic()
    while len(done) < 2:  # noqa: PLR2004 - balance and audit
        rows = await environment.admin.fetch(_POSITIONS)
        now = time.time()
        for name, position in rows:
            if position >= events:
                done.setdefault(name, now)
        total = sum(row[1] for row in rows)
        if total != before:
            before, moved_at = total, time.monotonic()
        elif time.monotonic() - moved_at > _STALLED_S:
            message = f"no progress for {_STALLED_S:.0f} s: {rows}, {events} events expected"
            raise TimeoutError(message)
        await asyncio.sleep(_LOOK_EVERY_S)
    return done


async def _last_published(environment: Environment) -> float:
    """Return when the last event was sent, from the timestamps of Kafka's records."""
    topics = environment.settings.topics
    async with TopicReader(
        environment.settings.kafka,
        topics.events,
        partitions=topics.partitions,
        client_id="bench",
    ) as reader:
        ends = {partition: end for partition, end in (await reader.ends()).items() if end}
        reader.seek({partition: end - 1 for partition, end in ends.items()})
        last: dict[int, int] = {}
        while len(last) < len(ends):
            for partition, records in (await reader.poll(5.0, ends.keys() - last.keys())).items():
                last[partition] = records[-1].timestamp
    return max(last.values()) / 1000
