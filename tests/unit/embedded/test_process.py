"""A child ends when it is asked to, when its time is over, and when its parent dies."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from passbook.embedded.orphans import is_ours, stop_orphan
from passbook.embedded.process import Child, server_environment, spawn
from tests.support.until import is_alive, until

SLEEP = ["/bin/sleep", "60"]
DEAF = ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]
PARENT = """
import asyncio, signal, sys
from passbook.embedded.process import spawn
async def main():
    child = spawn(["/bin/sleep", "60"], output=-3, death_signal=signal.SIGKILL)
    print(child.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def run(argv: list[str]) -> Child:
    """Spawn a child whose output nobody wants."""
    return spawn(argv, output=subprocess.DEVNULL, death_signal=signal.SIGKILL)


def run_deaf(*arguments: str) -> Child:
    """Spawn a child that has begun to ignore SIGTERM."""
    child = spawn([*DEAF, *arguments], output=subprocess.PIPE, death_signal=signal.SIGKILL)
    assert child.output is not None
    with child.output:
        assert child.output.readline() == b"ready\n"
    return child


async def test_exit_status_is_returned() -> None:
    assert await run(["/bin/sh", "-c", "exit 7"]).wait() == 7


async def test_stop_asks_first() -> None:
    child = run(SLEEP)
    assert await child.stop(signal.SIGTERM, 5) == -signal.SIGTERM
    assert child.returncode == -signal.SIGTERM


async def test_stop_kills_at_the_end_of_the_bound() -> None:
    child = run_deaf()
    assert await child.stop(signal.SIGTERM, 0.1) == -signal.SIGKILL


async def test_cancelled_stop_kills() -> None:
    child = run_deaf()
    stopping = asyncio.create_task(child.stop(signal.SIGTERM, 60))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert await child.wait() == -signal.SIGKILL


async def test_finish_kills_at_the_end_of_the_bound() -> None:
    assert await run(SLEEP).finish(0.05) == -signal.SIGKILL


async def test_stop_of_an_ended_child_returns_its_status() -> None:
    child = run(["/bin/true"])
    await child.wait()
    assert await child.stop(signal.SIGTERM, 5) == 0


async def test_child_is_out_of_reach_of_the_terminal() -> None:
    child = run(SLEEP)
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    await child.stop(signal.SIGKILL, 5)


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that spawns a child and prints its pid."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        yield parent
        parent.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals the children of the dead")
async def test_child_dies_with_its_killed_parent(parent: subprocess.Popen[bytes]) -> None:
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_alive(pid)
    parent.kill()
    await until(lambda: not is_alive(pid), 5)


def test_environment_of_a_server_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSBOOK_EVENT_STORE_DSN", "secret")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx1m")
    assert not {"PASSBOOK_EVENT_STORE_DSN", "JAVA_TOOL_OPTIONS"} & server_environment().keys()


async def test_only_a_process_started_with_the_path_is_ours(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    child = run([sys.executable, "-ISc", "import signal; signal.pause()", str(marker)])
    assert is_ours(child.pid, marker)
    assert not is_ours(child.pid, tmp_path)
    assert not is_ours(os.getpid(), marker)
    await child.stop(signal.SIGKILL, 5)
    assert not is_ours(child.pid, marker)


async def test_orphan_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    child = run_deaf("sh", str(tmp_path))
    await stop_orphan(child.pid, tmp_path, signal.SIGTERM, 0.1)
    assert await child.wait() == -signal.SIGKILL
