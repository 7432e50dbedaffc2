"""Services as operating-system processes: started, asked, stopped, killed, frozen."""

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from passbook.embedded.ports import LOOPBACK, free_port
from passbook.embedded.process import Child, spawn
from passbook.embedded.readiness import is_ready
from tests.support.until import until

_KEPT: Final = ("PATH", "HOME", "PYTHONPATH")
_READY_S: Final = 30.0
_STOP_S: Final = 10.0
_ANSWER_S: Final = 5.0


class Page(NamedTuple):
    """What a probe answered."""

    status: int
    body: str


class ServiceProcess:
    """One process of a service. Its log is kept in `log`, one JSON object a line."""

    def __init__(
        self, name: str, environment: Mapping[str, str], log: Path, module: str = ""
    ) -> None:
        """Start it, from the service's own folder or another module. It dies with the process that
        runs the tests.
        """
        self.name = name
        self.port = free_port()
        self.log = log
        self._child: Child
        with log.open("wb") as output:
            self._child = spawn(
                # -P, so that a folder in the current directory cannot be taken for a package.
                (
                    *(sys.executable, "-P", "-m"),
                    module or f"services.{name.replace('-', '_')}",
                ),
                output=output,
                death_signal=signal.SIGKILL,
                env={
                    **{key: os.environ[key] for key in _KEPT if key in os.environ},
                    "PASSBOOK_LOG_FORMAT": "json",
                    "PASSBOOK_METRICS_PORT": str(self.port),
                    **environment,
                },
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, None while it runs."""
        return self._child.returncode

    async def ready(self, *, yes: bool = True) -> None:
        """Return when `/readyz` says yes, or no."""

        async def said_so() -> bool:
            assert self.exit_code is None, f"{self.name} ended: {self.last_words()}"
            return await is_ready(self.port) is yes

        await until(said_so, _READY_S)

    async def kill(self) -> None:
        """Kill it; it has ended on return."""
        self._child.send(signal.SIGKILL)
        await self._child.wait()

    async def terminate(self) -> tuple[int, float]:
        """Ask it to stop, and return its exit code and how many seconds that took. At the end of
        its ten seconds it is killed.
        """
        started = time.monotonic()
        code = await self._child.stop(signal.SIGTERM, _STOP_S)
        return code, time.monotonic() - started

    async def ended(self, deadline_s: float) -> int:
        """Return its exit code when it has ended by itself."""
        async with asyncio.timeout(deadline_s):
            return await self._child.wait()

    def freeze(self) -> None:
        """Stop it as a debugger or a paused virtual machine does: it keeps its connections."""
        self._child.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._child.send(signal.SIGCONT)

    async def get(self, path: str) -> Page:
        """Return what it answers to a probe, over plain sockets."""
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                answer = (await reader.read()).decode()
            finally:
                writer.close()
        head, _, body = answer.partition("\r\n\r\n")
        return Page(int(head.split(" ")[1]), body)

    async def metric(self, name: str) -> float:
        """Return the sum over a metric's labels; 0 while it has none."""
        page = await self.get("/metrics")
        values = re.findall(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? (\S+)$", page.body, re.MULTILINE)
        return sum(map(float, values))

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the entries of its log with this name."""
        lines = self.log.read_text("utf-8").splitlines()
        entries = [json.loads(line) for line in lines if line.startswith("{")]
        return [entry for entry in entries if entry["event"] == event]

    def last_words(self) -> str:
        """Return the end of its log."""
        return self.log.read_text("utf-8")[-2000:]
