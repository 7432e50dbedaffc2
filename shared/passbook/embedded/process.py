"""Child processes that are stopped in order, and that do not outlive their parent.

Three things keep orphans away. Every child has its own session, so Ctrl-C in a terminal reaches the
parent alone, which then stops its children in order. On Linux the kernel signals a child when its
parent dies (PR_SET_PDEATHSIG). And what is left after all that, on macOS, is recognised at the next
start (`orphans`).
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

PR_SET_PDEATHSIG: Final = 1  # prctl(2)
KILL_BOUND_S: Final = 10.0  # after SIGKILL only the kernel can delay the end
POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Account:
    """An operating-system account that a child runs as."""

    uid: int
    gid: int


class Child:
    """A running child process. `spawn` makes one."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        """Watch the process from a thread: portable, and the same under asyncio and uvloop."""
        self._popen = popen
        self._loop = asyncio.get_running_loop()
        self._exited: asyncio.Future[int] = self._loop.create_future()
        threading.Thread(target=self._watch, name=f"wait-{popen.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def output(self) -> IO[bytes] | None:
        """The reading end of the child's stdout when it was spawned with a pipe."""
        return self._popen.stdout

    @property
    def returncode(self) -> int | None:
        """The exit status once the process has ended (negative: the signal), None while it runs."""
        return self._exited.result() if self._exited.done() else None

    async def wait(self) -> int:
        """Return the exit status when the process has ended."""
        return await asyncio.shield(self._exited)

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        self._popen.send_signal(number)

    async def stop(self, number: signal.Signals, bound_s: float) -> int:
        """Ask with a signal, kill at the end of the bound or on cancel; on return it has ended."""
        self.send(number)
        try:
            async with asyncio.timeout(bound_s):
                return await self.wait()
        except TimeoutError:
            self.send(signal.SIGKILL)
        except asyncio.CancelledError:
            self.send(signal.SIGKILL)
            raise
        async with asyncio.timeout(KILL_BOUND_S):
            return await self.wait()

    async def finish(self, bound_s: float) -> int:
        """Return the exit status of one that ends by itself, killed at the end of the bound."""
        try:
            async with asyncio.timeout(bound_s):
                return await self.wait()
        except TimeoutError:
            return await self.stop(signal.SIGKILL, KILL_BOUND_S)
        except asyncio.CancelledError:
            self.send(signal.SIGKILL)
            raise

    def _watch(self) -> None:
        status = self._popen.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._settle, status)

    def _settle(self, status: int) -> None:
        if not self._exited.done():
            self._exited.set_result(status)


def spawn(  # noqa: PLR0913  each is a fact of its own, and has to be named
    argv: Sequence[str | Path],
    *,
    output: IO[bytes] | int,
    death_signal: signal.Signals,
    account: Account | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Child:
    """Start a child that writes to `output` and gets `death_signal` when this thread ends.

    Call it from the main thread: the kernel takes the end of the *thread* that forked for the death
    of the parent. Source: prctl(2), PR_SET_PDEATHSIG.
    """
    identity: dict[str, Any] = (
        {"user": account.uid, "group": account.gid, "extra_groups": []}
        if account is not None
        else {}
    )
    with warnings.catch_warnings():
        # Python 3.12 warns of every fork beside threads. What runs in the child here is one C
        # function, resolved before.
        warnings.simplefilter("ignore", DeprecationWarning)
        popen = subprocess.Popen(  # noqa: S603  what is run is never taken from outside
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_die_with(death_signal),  # noqa: PLW1509  the warning above
            **identity,
        )
    return Child(popen)


def server_environment() -> dict[str, str]:
    """Return the environment of a server: not ours, with its secrets and options for JVMs."""
    kept = ("PATH", "TZ", "LD_LIBRARY_PATH")
    return {"LC_ALL": "C.UTF-8"} | {name: os.environ[name] for name in kept if name in os.environ}


def _die_with(death_signal: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def arrange() -> None:
        # subprocess runs this after setuid, which would have cleared the setting. The parent may
        # have died before the setting took hold: then nobody is left to tell, and this process ends
        # itself.
        prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return arrange
