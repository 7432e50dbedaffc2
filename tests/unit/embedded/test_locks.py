"""The lock of a directory belongs to one living process."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from passbook.embedded.errors import DataDirectoryBusyError
from passbook.embedded.locks import FileLock

HOLDER = """
import sys, pathlib
from passbook.embedded.locks import FileLock
lock = FileLock(pathlib.Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run another process that holds the lock."""
    argv = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.usefixtures("holder")
def test_lock_of_another_process_is_refused_and_seen(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    assert lock.is_held_by_anyone()
    with pytest.raises(DataDirectoryBusyError):
        lock.acquire()


def test_death_of_the_holder_releases_the_lock(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    holder.kill()
    holder.wait()
    lock = FileLock(tmp_path / "lock")
    assert not lock.is_held_by_anyone()
    with lock:
        assert lock.is_held_by_anyone()
    assert not lock.is_held_by_anyone()


def test_children_do_not_keep_the_lock(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    lock.acquire()
    with subprocess.Popen(["/bin/sleep", "60"]) as child:
        lock.release()
        assert not lock.is_held_by_anyone()
        child.kill()


def test_lock_that_never_was_is_not_held(tmp_path: Path) -> None:
    assert not FileLock(tmp_path / "lock").is_held_by_anyone()
