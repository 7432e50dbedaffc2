"""Files that are there completely or not at all, also after a power failure."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".unfinished"
"""Ends the name of a file that is being written."""


@contextmanager
def published(path: Path) -> Iterator[Path]:
    """Give a path to write to; after the block, what was written is on disk under `path`.

    When the block fails, `path` is as it was before.
    """
    unfinished = path.with_name(path.name + UNFINISHED)
    yield unfinished
    _sync(unfinished)
    unfinished.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
