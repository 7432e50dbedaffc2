"""Log files of child processes, kept small."""

from pathlib import Path
from typing import IO, Final

LOG_LIMIT_BYTES: Final = 16 * 1024 * 1024


def open_log(path: Path) -> IO[bytes]:
    """Open a log for appending; a large one first moves to `<name>.1`, replacing that."""
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab")
