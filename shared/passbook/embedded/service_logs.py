"""What the services write: one line at a time, each with the name of its service in front."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import IO, Final, TextIO, TypeAlias

from passbook.embedded.logs import open_log

LineSink: TypeAlias = Callable[[str, str], None]
"""Takes the label of a service and a line of its output, without the line break. Must not raise."""

SUPERVISOR: Final = "supervisor"  # the label of what is said about services, not by them
LINE_LIMIT_BYTES: Final = 64 * 1024
COLOURS: Final = (
    36,
    32,
    35,
    33,
    34,
    96,
    92,
    95,
    93,
    94,
)  # ANSI foregrounds, readable on dark and on light


def terminal_sink(labels: Iterable[str], stream: TextIO | None = None) -> LineSink:
    """Return a sink that writes to stderr, in colours on a terminal unless NO_COLOR is set."""
    out = stream or sys.stderr
    known = [*labels, SUPERVISOR]
    width = max(map(len, known))
    prefixes = {label: f"{label:<{width}} | " for label in known}
    if out.isatty() and not os.environ.get("NO_COLOR"):
        prefixes = {
            label: f"\x1b[{COLOURS[number % len(COLOURS)]}m{prefix}\x1b[0m"
            for number, (label, prefix) in enumerate(prefixes.items())
        }

    def write(label: str, line: str) -> None:
        # A terminal that was closed, or a `| head`, is no reason to stop services.
        with contextlib.suppress(OSError, ValueError):
            out.write(f"{prefixes.get(label, f'{label:<{width}} | ')}{line}\n")
            out.flush()

    return write


def folder_sink(folder: Path) -> LineSink:
    """Return a sink that appends to one file a service, when the terminal is for other things."""

    def write(label: str, line: str) -> None:
        with contextlib.suppress(OSError), open_log(folder / f"{label}.log") as file:
            file.write(f"{line}\n".encode())

    return write


async def lines(pipe: IO[bytes]) -> AsyncIterator[str]:
    """Give the lines of a pipe until its end; one over the limit comes in pieces."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_LIMIT_BYTES)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        rest = b""
        while chunk := await reader.read(LINE_LIMIT_BYTES):
            *complete, rest = (rest + chunk).split(b"\n")
            for line in complete:
                yield _text(line)
            if len(rest) >= LINE_LIMIT_BYTES:
                yield _text(rest)
                rest = b""
        if rest:
            yield _text(rest)
    finally:
        transport.close()


def _text(line: bytes) -> str:
    return line.decode(errors="backslashreplace").rstrip("\r")
