"""What a verb prints: its answer on stdout, everything else on stderr."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from passbook.cli.options import Options

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_PIPE_WIDTH: Final = 200
"""Columns of a table that nobody sees: a pipe has no width, and cropped ids are of no use."""


def emit(document: Any, options: Options, human: "Callable[[], RenderableType]") -> None:
    """Print a verb's answer: `document` with `--json`, otherwise what `human` draws of it.

    `document` is what orjson understands, and `Decimal`, which becomes a string.
    """
    if options.json:
        emit_json(document)
    else:
        out().print(human())


def emit_json(document: Any, *, indent: bool = True) -> None:
    """Print a JSON document and a line break; on one line for streams (`indent=False`)."""
    import orjson

    option = orjson.OPT_APPEND_NEWLINE | (orjson.OPT_INDENT_2 if indent else 0)
    sys.stdout.buffer.write(orjson.dumps(document, default=str, option=option))
    sys.stdout.flush()


def out() -> "Console":
    """Return the console for answers."""
    return _console(stderr=False)


def err() -> "Console":
    """Return the console for progress and remarks."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else _PIPE_WIDTH)
