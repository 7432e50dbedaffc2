"""One service as an operating-system process: started, watched, started again, stopped."""

import asyncio
import os
import random
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from passbook.embedded.endpoints import ServiceEndpoint
from passbook.embedded.ports import LOOPBACK, free_port
from passbook.embedded.process import Child, spawn
from passbook.embedded.readiness import is_ready
from passbook.embedded.service_logs import SUPERVISOR, LineSink, lines

EX_CONFIG: Final = 78  # sysexits(3): the configuration was refused, and will be the next time too
STOP_BOUND_S: Final = 10.0
FIRST_DELAY_S: Final = 0.2
LONGEST_DELAY_S: Final = 10.0
HEALTHY_AFTER_S: Final = 30.0
POLL_UNREADY_S: Final = 0.05
POLL_READY_S: Final = 1.0
LAST_LINES_BOUND_S: Final = 1.0


class State(StrEnum):
    """What a service is doing."""

    STARTING = "starting"  # it runs, but is not ready: not yet, or not any more
    READY = "ready"
    BACKOFF = "backoff"  # it crashed, and is started again in a moment
    REFUSED = "refused"  # it cannot run as it is configured, and is not tried again
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """How to run one process of a service.

    `env` is added to our environment; the process also gets PASSBOOK_METRICS_PORT. Services of a
    lower `stop_order` are stopped before those of a higher one.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    stop_order: int = 0
    instance: int = 1
    metrics_port: int = 0  # 0: a free one at each start

    @property
    def label(self) -> str:
        """The name that tells it apart in logs."""
        return self.name if self.instance == 1 else f"{self.name}.{self.instance}"


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What is known of one process of a service now; `pid` is None while it does not run."""

    name: str
    instance: int
    state: State
    pid: int | None
    restarts: int
    metrics_port: int

    @property
    def endpoint(self) -> ServiceEndpoint | None:
        """Where the process is reached, when it runs."""
        if self.pid is None:
            return None
        return ServiceEndpoint(self.pid, f"http://{LOOPBACK}:{self.metrics_port}/metrics")


class ServiceProcess:
    """Keeps one service running, from `run` until `stop`."""

    def __init__(self, spec: ServiceSpec, sink: LineSink, changed: Callable[[], None]) -> None:
        """Give its output to `sink`, and call `changed` when its state or its pid has changed."""
        self.spec = spec
        self._sink = sink
        self._changed = changed
        self._state = State.STOPPED
        self._told: tuple[State, int | None] = (State.STOPPED, None)
        self._child: Child | None = None
        self._port = spec.metrics_port
        self._failures = 0
        self._restarts = 0
        self._ready_since: float | None = None
        self._stopping = asyncio.Event()

    @property
    def status(self) -> ServiceStatus:
        """What is known of it now."""
        pid = self._child.pid if self._child is not None else None
        return ServiceStatus(
            self.spec.name, self.spec.instance, self._state, pid, self._restarts, self._port
        )

    async def run(self) -> None:
        """Keep the service running until it is stopped or refuses to run."""
        while not self._stopping.is_set():
            status = await self._run_once()
            if status == EX_CONFIG:
                self._say("configuration refused; going on without it")
                self._become(State.REFUSED)
                return
            if not self._stopping.is_set():
                await self._back_off(status)
        self._become(State.STOPPED)

    def cease(self) -> None:
        """Let it run, but do not start it again."""
        self._stopping.set()

    async def stop(self) -> None:
        """Ask it to stop, kill it at the end of the bound; it is not started again."""
        self.cease()
        if (child := self._child) is None:
            return
        status = await child.stop(signal.SIGTERM, STOP_BOUND_S)
        if status == -signal.SIGKILL:
            self._say(f"did not stop within {STOP_BOUND_S:.0f} s: killed")

    async def _run_once(self) -> int:
        """Start it and return its exit status."""
        self._port = self.spec.metrics_port or free_port()
        environment = {"PYTHONUNBUFFERED": "1", "PASSBOOK_METRICS_PORT": str(self._port)}
        try:
            child = spawn(
                self.spec.argv,
                output=asyncio.subprocess.PIPE,
                death_signal=signal.SIGKILL,
                env={**os.environ, **self.spec.env, **environment},
            )
        except OSError as error:
            self._say(f"cannot be started: {error}")
            return EX_CONFIG
        self._child = child
        self._become(State.STARTING)
        try:
            return await self._attend(child)
        finally:
            self._child = None

    async def _attend(self, child: Child) -> int:
        """Hand on its output and watch its readiness until it ends."""
        async with asyncio.TaskGroup() as group:
            output = group.create_task(self._hand_on(child))
            watch = group.create_task(self._watch_readiness())
            try:
                status = await child.wait()
            except asyncio.CancelledError:
                child.send(signal.SIGKILL)
                raise
            watch.cancel()
            # A grandchild may hold the pipe open for ever.
            await asyncio.wait([output], timeout=LAST_LINES_BOUND_S)
            output.cancel()
        return status

    async def _hand_on(self, child: Child) -> None:
        if child.output is not None:
            async for line in lines(child.output):
                self._sink(self.spec.label, line)

    async def _watch_readiness(self) -> None:
        self._ready_since = None
        while True:
            ready = await is_ready(self._port)
            if not ready:
                self._ready_since = None
            elif self._ready_since is None:
                self._ready_since = asyncio.get_running_loop().time()
            self._become(State.READY if ready else State.STARTING)
            await asyncio.sleep(POLL_READY_S if ready else POLL_UNREADY_S)

    async def _back_off(self, status: int) -> None:
        """Wait before the next start, twice as long as after the last crash, with jitter."""
        now = asyncio.get_running_loop().time()
        if self._ready_since is not None and now - self._ready_since >= HEALTHY_AFTER_S:
            self._failures = 0
        ceiling = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2**self._failures)
        delay = random.uniform(ceiling / 2, ceiling)
        self._failures += 1
        self._restarts += 1
        self._say(f"ended {_how(status)}; starting it again in {delay:.1f} s")
        self._become(State.BACKOFF)
        try:
            async with asyncio.timeout(delay):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _become(self, state: State) -> None:
        before, self._state = self._told, state
        self._told = (state, self.status.pid)
        if self._told != before:
            self._changed()

    def _say(self, line: str) -> None:
        self._sink(SUPERVISOR, f"{self.spec.label} {line}")


def _how(status: int) -> str:
    return f"with exit status {status}" if status >= 0 else f"by {signal.Signals(-status).name}"
