"""What the servers need for the least they can do: the figures everything else is compared with."""

import statistics
import time
from typing import Final

from passbook.cli.bench.environment import Environment
from passbook.messaging.producer import Producer
from passbook.messaging.reader import TopicReader

_ROUNDS: Final = 300
_WARM_UP: Final = 50

_TABLE: Final = "CREATE TABLE public.bench_floor (number integer PRIMARY KEY, note text)"
_INSERT: Final = "INSERT INTO public.bench_floor VALUES ($1, 'one row, one commit')"


async def measure_floor(environment: Environment) -> dict[str, float]:
    """Return the medians, in ms, of sending a record until a consumer has it, and of committing one
    row. Idle servers, one at a time.
    """
    return {
        "kafka_round_trip_ms": await _kafka_round_trip(environment),
        "commit_ms": await _commit(environment),
    }


async def _kafka_round_trip(environment: Environment) -> float:
    settings = environment.settings
    topic = settings.topics.commands_dlq
    partitions = settings.topics.partitions
    times = []
    async with (
        Producer(settings.kafka, client_id="bench-floor") as producer,
        TopicReader(
            settings.kafka, topic, partitions=partitions, client_id="bench-floor"
        ) as reader,
    ):
        for number in range(_ROUNDS):
            started = time.perf_counter()
            await producer.publish(topic, {number % partitions: [(None, b"floor", [])]})
            while not await reader.poll(1.0):
                pass
            times.append(time.perf_counter() - started)
    return _median_ms(times)


async def _commit(environment: Environment) -> float:
    times = []
    await environment.admin.execute(_TABLE)
    for number in range(_ROUNDS):
        started = time.perf_counter()
        await environment.admin.execute(_INSERT, number)
        times.append(time.perf_counter() - started)
    return _median_ms(times)


def _median_ms(times: list[float]) -> float:
    return round(statistics.median(times[_WARM_UP:]) * 1000, 3)
