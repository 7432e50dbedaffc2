"""The command line: the `passbook` program, its verbs, and the one place that knows exit codes."""

import sys
from collections.abc import Sequence
from typing import Final

__all__ = ["main"]

_UNAVAILABLE: Final = 69
_OURS: Final = ("passbook", "services")


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code. Nothing heavy is imported before it is known which."""
    try:
        from passbook.cli.app import run

        return run(tokens)
    except ModuleNotFoundError as missing:
        name = (missing.name or "").partition(".")[0]
        if name in _OURS:
            raise
        # Who installs the library for its client gets this program, too, but not what it stands on.
        sys.stderr.write(
            f"passbook: the command line needs {name}, which is not installed: "
            "pip install 'passbook[server]'\n"
        )
        return _UNAVAILABLE
