"""Instances of a service that are started, frozen and killed one by one, in a group or alone."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from passbook.cli.bench.environment import Environment
from passbook.embedded.ports import free_port
from passbook.embedded.process import Child, spawn
from passbook.embedded.readiness import is_ready
from passbook.messaging.admin import kafka_admin

_LOOK_EVERY_S: Final = 0.02
_PATIENCE_S: Final = 60.0
_STOP_S: Final = 10.0


class Instance:
    """One process of a service, which nobody starts again."""

    def __init__(self, environment: Environment, service: str, **settings: str) -> None:
        """Start it, with further `settings` in its environment."""
        spec = environment.spec(service, **settings)
        self._port = free_port()
        port = {"PASSBOOK_METRICS_PORT": str(self._port)}
        environment.folder.mkdir(parents=True, exist_ok=True)
        with (environment.folder / f"{service}.{self._port}.log").open("wb") as output:
            self._child: Child = spawn(
                spec.argv,
                output=output,
                death_signal=signal.SIGKILL,
                env={**os.environ, **spec.env, **port},
            )

    async def ready(self) -> None:
        """Return when it says so.

        Raises:
            TimeoutError: it does not.
        """
        async with asyncio.timeout(_PATIENCE_S):
            while not await is_ready(self._port):  # noqa: ASYNC110 - another process works
                await asyncio.sleep(_LOOK_EVERY_S)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._child.send(number)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it with a signal; it has ended on return."""
        await self._child.stop(number, _STOP_S)


@asynccontextmanager
async def instances(
    environment: Environment, service: str, count: int, **settings: str
) -> AsyncIterator[list[Instance]]:
    """Run so many processes of a service; they are ready when the block starts. What is added to the
    list is stopped with the others at its end.
    """
    running = [Instance(environment, service, **settings) for _ in range(count)]
    try:
        for instance in running:
            await instance.ready()
        yield running
    finally:
        for instance in running:
            instance.send(signal.SIGCONT)
        await asyncio.gather(*(instance.end() for instance in running))


async def joined(environment: Environment, service: str, members: int) -> None:
    """Return when the group of a service has so many members, and each its partitions.

    Raises:
        TimeoutError: it does not come to that.
    """
    group = environment.settings.topic_prefix + service
    async with kafka_admin(environment.settings.kafka) as admin, asyncio.timeout(_PATIENCE_S):
        while True:
            (answer,) = await admin.describe_consumer_groups([group])
            state, present = answer.groups[0][2], answer.groups[0][5]
            if state == ("Stable" if members else "Empty") and len(present) == members:
                return
            await asyncio.sleep(_LOOK_EVERY_S)


@asynccontextmanager
async def frozen(processes: Sequence[Instance]) -> AsyncIterator[None]:
    """Let processes stand still for the length of the block; not longer than a session lasts."""
    for process in processes:
        process.send(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send(signal.SIGCONT)
