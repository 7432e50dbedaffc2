"""Starts the program `hold_servers` and tells what it runs."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from passbook.embedded.process import Account


@dataclass(frozen=True, slots=True)
class Held:
    """Servers that another process runs."""

    program: subprocess.Popen[str]
    pids: tuple[int, ...]
    dsn: str
    bootstrap: str


@contextmanager
def held_servers(
    data_dir: Path,
    *arguments: str,
    python: str = sys.executable,
    env: Mapping[str, str] | None = None,
    user: Account | None = None,
) -> Iterator[Held]:
    """Give servers of a process of its own, which is killed at the end of the block."""
    argv = [python, "-m", "tests.integration.embedded.hold_servers", str(data_dir), *arguments]
    with subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
        user=user.uid if user is not None else None,
        group=user.gid if user is not None else None,
        extra_groups=[] if user is not None else None,
    ) as program:
        try:
            assert program.stdout is not None
            line = program.stdout.readline()
            assert line, "the servers did not start; the reason is on stderr"
            document = json.loads(line)
            yield Held(program, tuple(document["pids"]), document["dsn"], document["bootstrap"])
        finally:
            program.kill()
