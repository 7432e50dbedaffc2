"""Processes that are not our children: those whose parent died, and a supervisor elsewhere."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from passbook.embedded.process import KILL_BOUND_S, POLL_S

PS_BOUND_S: Final = 5.0


def is_ours(pid: int, marker: Path) -> bool:
    """Tell whether the live process `pid` was started with the path `marker` among its arguments.

    A pid in a file proves nothing after a crash: the number may belong to anybody by now.
    """
    return os.fsencode(marker) in _arguments(pid)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits for its parent has no arguments."""
    return any(_arguments(pid))


def _arguments(pid: int) -> list[bytes] | bytes:
    """Return the arguments, or the line of them where the system does not tell them apart."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return []
    argv = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(argv, capture_output=True, check=False, timeout=PS_BOUND_S).stdout  # noqa: S603


async def stop_orphan(pid: int, marker: Path, polite: signal.Signals, bound_s: float) -> None:
    """Stop a process of ours whose parent died; it has ended on return.

    Raises:
        TimeoutError: it survived SIGKILL, so the kernel holds it.
    """
    for number, bound in ((polite, bound_s), (signal.SIGKILL, KILL_BOUND_S)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        with contextlib.suppress(TimeoutError):
            await _until_gone(pid, marker, bound)
            return
    raise TimeoutError(pid)


async def _until_gone(pid: int, marker: Path, bound_s: float) -> None:
    async with asyncio.timeout(bound_s):
        while is_ours(pid, marker):  # noqa: ASYNC110  not our child, so nothing tells us
            await asyncio.sleep(POLL_S)
