"""The demo's record: what was checked, and, when somebody watches, how it reads."""

from typing import NamedTuple

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_NAME_WIDTH = 32


class Check(NamedTuple):
    """One claim of the story, and whether it held."""

    name: str
    ok: bool
    detail: str


class Report:
    """Collects checks. With a console it tells the story as it goes."""

    def __init__(self, console: Console | None) -> None:
        """Begin; without a console nothing is printed."""
        self.checks: list[Check] = []
        self._console = console
        self._chapters = 0

    @property
    def ok(self) -> bool:
        """Whether every check so far has held."""
        return all(check.ok for check in self.checks)

    def chapter(self, title: str, explanation: str) -> None:
        """Begin a part of the story."""
        self._chapters += 1
        self._print(Text.assemble("\n", (f"{self._chapters:>3} {title}", "bold")))
        self._print(Padding(Text(explanation, style="italic dim"), (0, 0, 0, 4), expand=False))

    def check(self, name: str, detail: str, *, ok: bool) -> None:
        """Record whether a claim holds."""
        self.checks.append(Check(name, ok, detail))
        row = Table.grid(padding=(0, 1))
        row.add_column(width=3, justify="right")
        row.add_column(width=_NAME_WIDTH)
        row.add_column()
        mark = Text("✓", style="green") if ok else Text("✗", style="bold red")
        row.add_row(mark, Text(name), Text(detail, style="dim" if ok else "red"))
        self._print(row)

    def show(self, drawing: RenderableType) -> None:
        """Show something that is no claim."""
        self._print(Padding(drawing, (0, 0, 0, 4), expand=False))

    def conclude(self) -> None:
        """Say how it went."""
        failed = [check.name for check in self.checks if not check.ok]
        if failed:
            line = Text(f"\n{len(failed)} checks failed: {', '.join(failed)}", style="bold red")
        else:
            line = Text(f"\nAll {len(self.checks)} checks hold.", style="bold green")
        self._print(line)

    def to_dict(self) -> dict[str, object]:
        """Return the document of `passbook demo --json`."""
        return {"ok": self.ok, "checks": [check._asdict() for check in self.checks]}

    def _print(self, drawing: RenderableType) -> None:
        if self._console is not None:
            self._console.print(drawing)
