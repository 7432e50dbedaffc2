"""The command line: the `passbook` program, its verbs, and the one place that knows exit codes."""

from collections.abc import Sequence

__all__ = ["main"]


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code. Nothing heavy is imported before it is known which."""
    from passbook.cli.app import run

    return run(tokens)
