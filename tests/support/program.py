"""The `passbook` program, run as anybody runs it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

_BOUND_S: Final = 60.0
_KEPT: Final = ("PASSBOOK_CACHE_DIR", "PASSBOOK_MAVEN_URL")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run of the program ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """What it printed with `--json`."""
        assert self.stdout, f"exit code {self.code}: {self.stderr}"
        return json.loads(self.stdout)

    @property
    def documents(self) -> list[Any]:
        """What it printed line by line, with `--json`."""
        return [json.loads(line) for line in self.stdout.splitlines()]


@dataclass(frozen=True, slots=True)
class Program:
    """`passbook` with some settings; of those of the tests only where downloads are."""

    settings: Mapping[str, str]
    module: str = "passbook"

    async def __call__(self, *arguments: object) -> Ended:
        """Run a verb to its end."""
        process = await self.start(*arguments)
        async with asyncio.timeout(_BOUND_S):
            stdout, stderr = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, stdout.decode(), stderr.decode())

    @asynccontextmanager
    async def running(self, *arguments: object) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a verb for the length of the block, and not a moment longer."""
        process = await self.start(*arguments)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def start(self, *arguments: object) -> asyncio.subprocess.Process:
        """Start a verb that ends when it is told to."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("PASSBOOK_") or name in _KEPT
        }
        return await asyncio.create_subprocess_exec(
            # -P, so that a folder in the current directory cannot be taken for a package.
            *(sys.executable, "-P", "-m", self.module, *map(str, arguments)),
            env={**environment, **self.settings},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
