"""Progress for people who watch: a line on stderr for every step that is done."""

import time

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
