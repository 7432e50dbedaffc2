"""What went wrong, as one line with its remedy and an exit code.

0 ok · 1 failed · 2 usage · 3 rejected by the domain · 4 not found · 5 conflict · 69 unavailable
"""

import os
from typing import Final

from passbook.catalogue import CATALOGUE, Exit, code_of

EXIT_OK: Final = 0
EXIT_FAILED: Final = int(Exit.FAILED)
EXIT_USAGE: Final = int(Exit.USAGE)
EXIT_REJECTED: Final = int(Exit.REJECTED)
EXIT_NOT_FOUND: Final = int(Exit.NOT_FOUND)
EXIT_CONFLICT: Final = int(Exit.CONFLICT)
EXIT_UNAVAILABLE: Final = int(Exit.UNAVAILABLE)
EXIT_INTERRUPTED: Final = 130
"""Ctrl-C, as every shell counts it: 128 + SIGINT."""

_REMEDY: Final = "see what runs with `passbook status`, start it with `passbook up`"
_REMEDY_WITH_OWN_SERVERS: Final = "is {variables} right, and does that server run?"
_SERVERS: Final = (
    "PASSBOOK_EVENT_STORE_DSN",
    "PASSBOOK_READ_MODEL_DSN",
    "PASSBOOK_KAFKA_BOOTSTRAP",
)


class CommandFailed(Exception):
    """The verb could not do what it was asked; `str(error)` says why and what to do about it."""

    code = EXIT_FAILED


class Misused(CommandFailed):
    """The command line makes no sense."""

    code = EXIT_USAGE


class NothingRuns(CommandFailed):
    """No server is configured and none runs here."""

    code = EXIT_UNAVAILABLE


class NotFound(CommandFailed):
    """What was asked for does not exist."""

    code = EXIT_NOT_FOUND


def explain(error: Exception) -> tuple[str, int]:
    """Return the line to print about a failure and the exit code.

    A group of failures is explained by its first one.
    """
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    own = error.code if isinstance(error, CommandFailed) else None
    code = int(CATALOGUE[code_of(error)].exit) if own is None else own
    return _line(error, code), code


def _line(error: Exception, code: int) -> str:
    from pydantic import ValidationError

    text = _settings(error) if isinstance(error, ValidationError) else str(error)
    if not _is_ours(error):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    elif not text:
        text = type(error).__name__
    if code == EXIT_UNAVAILABLE and not isinstance(error, CommandFailed):
        text = f"{text.rstrip('.')}; {_remedy()}"
    if code == EXIT_FAILED and not _is_ours(error) and not isinstance(error, ValidationError):
        text += " (set PASSBOOK_DEBUG=1 to see where)"
    return text


def _remedy() -> str:
    configured = [name for name in _SERVERS if os.environ.get(name)]
    if configured:
        return _REMEDY_WITH_OWN_SERVERS.format(variables=" or ".join(configured))
    return _REMEDY


def _is_ours(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in {"passbook", "services", "pydantic_core"}


def _settings(error: Exception) -> str:
    from pydantic import ValidationError

    from passbook.config import told

    assert isinstance(error, ValidationError)
    return told(error)
