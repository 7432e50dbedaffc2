"""Runs every service as its own operating-system process, and keeps `endpoints.json` true."""

import asyncio
import os
import signal
from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby
from types import TracebackType
from typing import Final, Self

from passbook.embedded.datadir import DataDir
from passbook.embedded.endpoints import Endpoints, ServiceEndpoint
from passbook.embedded.errors import NotReadyError, NotRunningError, NotStoppedError
from passbook.embedded.orphans import is_alive
from passbook.embedded.service_logs import LineSink
from passbook.embedded.service_process import (
    ServiceProcess,
    ServiceSpec,
    ServiceStatus,
    State,
)

SETTLED: Final = frozenset({State.READY, State.REFUSED})
DOWN_POLL_S: Final = 0.05
PID_POLLS: Final = 40


class Supervisor:
    """Runs services for the length of an `async with` block, inside `DataDir.hold`.

    A service that crashes is started again after a growing pause; one that exits with status 78
    refused its configuration and is left alone. At the end of the block all are stopped: groups in
    `stop_order`, the members of a group together.
    """

    def __init__(
        self, data_dir: DataDir, endpoints: Endpoints, specs: Iterable[ServiceSpec], sink: LineSink
    ) -> None:
        """Keep `endpoints`, completed with the services, in the data directory; log to `sink`."""
        self._data_dir = data_dir
        self._endpoints = endpoints
        self._processes = [ServiceProcess(spec, sink, self._on_change) for spec in specs]
        labels = [process.spec.label for process in self._processes]
        if len(set(labels)) != len(labels):
            message = f"two services have the same name and instance: {sorted(labels)}"
            raise ValueError(message)
        self._changed = asyncio.Event()
        self._group = asyncio.TaskGroup()

    @property
    def services(self) -> list[ServiceStatus]:
        """What is known of each process now, in the order of the specs."""
        return [process.status for process in self._processes]

    async def wait_ready(self, timeout_s: float) -> list[ServiceStatus]:
        """Return once every service is ready, or has refused to run.

        Raises:
            NotReadyError: some are not within the time; everything goes on running.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while self._unsettled():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise NotReadyError(self._unsettled(), timeout_s) from None
        return self.services

    async def __aenter__(self) -> Self:
        """Start every service."""
        await self._group.__aenter__()
        for process in self._processes:
            self._group.create_task(process.run(), name=process.spec.label)
        self._write_endpoints()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop every service in order; none runs afterwards."""
        try:
            await self._stop()
        finally:
            # The group would wrap an exception of the block, which is not its own, into an
            # ExceptionGroup.
            if not isinstance(error, asyncio.CancelledError):
                kind, error, trace = None, None, None
            await self._group.__aexit__(kind, error, trace)

    async def _stop(self) -> None:
        def order(process: ServiceProcess) -> int:
            return process.spec.stop_order

        for process in self._processes:
            process.cease()
        for _, processes in groupby(sorted(self._processes, key=order), key=order):
            async with asyncio.TaskGroup() as group:
                for process in processes:
                    group.create_task(process.stop())

    def _unsettled(self) -> list[str]:
        return [
            process.spec.label for process in self._processes if process.status.state not in SETTLED
        ]

    def _on_change(self) -> None:
        self._changed.set()
        self._write_endpoints()

    def _write_endpoints(self) -> None:
        services: dict[str, list[ServiceEndpoint]] = {}
        for status in self.services:
            running = services.setdefault(status.name, [])
            if status.endpoint is not None:
                running.append(status.endpoint)
        self._data_dir.write_endpoints(replace(self._endpoints, services=services))


async def down(data_dir: DataDir, timeout_s: float) -> None:
    """Have the running supervisor stop everything; it has ended itself, too, on return.

    Raises:
        NotRunningError: nobody holds the data directory.
        NotStoppedError: it took longer than `timeout_s`; it may still come to its end.
    """
    pid = await _supervisor(data_dir)
    os.kill(pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(timeout_s):
            # It lets go of the directory a moment before its end.
            while data_dir.is_running() or is_alive(pid):  # noqa: ASYNC110  another process changes it
                await asyncio.sleep(DOWN_POLL_S)
    except TimeoutError:
        raise NotStoppedError(data_dir.path, pid, timeout_s) from None


async def _supervisor(data_dir: DataDir) -> int:
    """Return who holds the directory; one that has just begun is about to say so."""
    for _ in range(PID_POLLS):
        if (pid := data_dir.supervisor_pid()) is not None:
            return pid
        if not data_dir.is_running():
            break
        await asyncio.sleep(DOWN_POLL_S)
    raise NotRunningError(data_dir.path)
