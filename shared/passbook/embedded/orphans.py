"""Processes of ours whose parent died without stopping them."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from passbook.embedded.process import KILL_BOUND_S, POLL_S


def is_ours(pid: int, marker: Path) -> bool:
    """Tell whether the live process `pid` was started with the path `marker` among its arguments.

    A pid in a file proves nothing after a crash: the number may belong to anybody by now.
    """
    return str(marker) in _arguments(pid)


def _arguments(pid: int) -> list[str]:
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return []
    listing = subprocess.run(
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        timeout=5,
    )
    return listing.stdout.split()


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
        while is_ours(pid, marker):
            await asyncio.sleep(POLL_S)
