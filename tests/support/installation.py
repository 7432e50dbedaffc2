"""An installation of a test's own: a data directory, and `passbook` as anybody runs it there."""

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from tests.support.program import Program
from tests.support.until import until

START_BOUND_S: Final = 90.0
STOP_BOUND_S: Final = 30.0
_KEPT: Final = ("PASSBOOK_CACHE_DIR", "PASSBOOK_MAVEN_URL")


@dataclass(frozen=True, slots=True)
class Installation:
    """`passbook` runs the program with this data directory; `mark` is in the environment of all
    that it starts, except the servers, which name the directory on their command line.
    """

    data_dir: Path
    passbook: Program
    mark: str

    @asynccontextmanager
    async def up(self, *arguments: str) -> AsyncIterator["Up"]:
        """Run `passbook up` for the length of the block; it is ready when the block starts."""
        process = await self.passbook.start("up", "--json", *arguments)
        assert process.stderr is not None
        # Somebody has to read it, or `up` waits for that with its next line.
        log = asyncio.create_task(process.stderr.read())
        try:
            yield Up(process, await _document(process, log))
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await log
            await self.until_nothing_runs()

    def processes(self) -> dict[int, str]:
        """Return the command line of every process that runs for this installation, by pid."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                command, environment = _read(entry / "cmdline"), _read(entry / "environ")
                # A process that has ended and waits for its parent has no command line any more.
                if command and (str(self.data_dir) in command or self.mark in environment):
                    found[int(entry.name)] = command
        return found

    async def until_nothing_runs(self, deadline_s: float = 10.0) -> None:
        """Return when nothing runs for this installation."""
        await until(lambda: not self.processes(), deadline_s)


@dataclass(frozen=True, slots=True)
class Up:
    """A running `passbook up`, and the document that it printed when everything was ready."""

    process: asyncio.subprocess.Process
    document: dict[str, Any]

    @property
    def service_pids(self) -> dict[str, list[int]]:
        """Service → its processes."""
        services = self.document["services"]
        return {name: [one["pid"] for one in running] for name, running in services.items()}

    async def end(self, number: signal.Signals) -> int:
        """Send it a signal and return its exit code when it has ended."""
        self.process.send_signal(number)
        async with asyncio.timeout(STOP_BOUND_S):
            return await self.process.wait()


@contextmanager
def installation(**settings: str) -> Iterator[Installation]:
    """Give a new installation; its data directory is open to the account that PostgreSQL runs as."""
    folder = Path(tempfile.mkdtemp(prefix="passbook-tests-"))
    folder.chmod(0o755)
    mark = uuid4().hex
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    own = {
        "PASSBOOK_DATA_DIR": str(folder / "data"),
        "PASSBOOK_HTTP_PORT": "0",  # a free one: tests may run side by side
        "PASSBOOK_TESTED_BY": mark,
    }
    try:
        yield Installation(folder / "data", Program(kept | own | settings), mark)
    finally:
        shutil.rmtree(folder)


async def ended(process: asyncio.subprocess.Process) -> int:
    """Return the exit code of a process that is about to end."""
    async with asyncio.timeout(STOP_BOUND_S):
        await process.communicate()
    assert process.returncode is not None
    return process.returncode


async def _document(
    process: asyncio.subprocess.Process, log: asyncio.Task[bytes]
) -> dict[str, Any]:
    assert process.stdout is not None
    text = b""
    async with asyncio.timeout(START_BOUND_S):
        while line := await process.stdout.readline():
            text += line
            if line == b"}\n":
                document: dict[str, Any] = json.loads(text)
                return document
    message = f"up ended before it was ready: {(await log).decode()}"
    raise AssertionError(message)


def _read(file: Path) -> str:
    try:
        return file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:  # it has ended meanwhile, or is somebody else's
        return ""
