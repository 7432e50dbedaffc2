"""Progress for people who watch: a line on stderr for every step that is done, or a bar."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.text import Text

from passbook.cli.output import err


class Steps:
    """Says what is done, and after how long since the beginning."""

    def __init__(self) -> None:
        """Begin now."""
        self._began = time.monotonic()
        self._console = err()

    def __call__(self, done: str) -> None:
        """Say that a step is done."""
        line = Text.assemble(
            ("  ✓ ", "green"), f"{done}  ", (f"{time.monotonic() - self._began:.1f} s", "dim")
        )
        self._console.print(line)

    def remark(self, text: str) -> None:
        """Say something that is no step."""
        self._console.print(Text(text, style="dim"))


@contextmanager
def counted(doing: str, units: str) -> Iterator[Callable[[int, int], None]]:
    """Draw a bar with its rate and the time that is left, for people only; what is given is told
    how many units are done, of how many.
    """
    # Only who counts needs it, and it takes a while to load.
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = err()
    bar = Progress(
        TextColumn(doing),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.speed:,.0f} " + f"{units}/s"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
