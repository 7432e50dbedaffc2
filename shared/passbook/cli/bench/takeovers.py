"""Take-overs: for how long nothing is published when the leading relay ends, in one way or another."""

import asyncio
import signal
from typing import Final

from passbook.cli.bench.environment import Servers, bench_environment
from passbook.cli.bench.instances import Instance, instances
from passbook.cli.bench.rebalances import events_stored
from passbook.cli.bench.stalls import Stalls
from passbook.messaging.reader import TopicReader
from passbook.service import alongside

ENDS: Final = {"terminated": signal.SIGTERM, "killed": signal.SIGKILL, "frozen": signal.SIGSTOP}
_RELAY: Final = "outbox-relay"
_EVERY_S: Final = 0.02


async def measure_takeovers(servers: Servers, repeats: int) -> dict[str, list[float]]:
    """Return for how many seconds no event was published, `repeats` times for each way to end."""
    found: dict[str, list[float]] = {how: [] for how in ENDS}
    async with (
        bench_environment(servers) as environment,
        events_stored(environment) as store,
        TopicReader(
            environment.settings.kafka,
            environment.settings.topics.events,
            partitions=environment.settings.topics.partitions,
            client_id="bench",
        ) as reader,
        instances(environment, _RELAY, 1) as running,
    ):

        async def load() -> None:
            while True:
                await store()
                await asyncio.sleep(_EVERY_S)

        stalls = Stalls(reader.ends)
        async with alongside(load(), stalls.run()):
            for how, number in [pair for _ in range(repeats) for pair in ENDS.items()]:
                leader = running[-1]
                standby = Instance(environment, _RELAY)
                running.append(standby)
                await standby.ready()
                await asyncio.sleep(1)  # until it has looked around, and the load is even again
                stalls.begin()
                leader.send(number)
                found[how].append(await stalls.longest())
                leader.send(signal.SIGKILL)
    return found
