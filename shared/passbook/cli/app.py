"""The tree of verbs, and how a verb ends.

Verbs are named by import path: a module is loaded when its verb runs, so that `--help` needs
neither the drivers nor the servers. A verb is a function, plain or async, that returns its exit
code (None is 0) and raises what went wrong; `failures` turns that into one line and a code.
"""

import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from cyclopts import App, CycloptsError, Group, UnknownCommandError

from passbook.cli.failures import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, explain

_MACHINE: Final = Group("This machine", sort_key=1)
_BANK: Final = Group("The bank", sort_key=2)
_OPERATE: Final = Group("Operating", sort_key=3)
_HELP: Final = Group("Help", sort_key=4)

_INTRODUCTION: Final = """\
An event-sourced bank ledger on PostgreSQL and Kafka.

`passbook demo` shows it at work; `passbook up` keeps it running for other terminals.
"""
_EXIT_CODES: Final = (
    "Exit codes: 0 ok, 1 failed, 2 usage, 3 rejected by the domain, 4 not found, 5 conflict, "
    "69 unavailable."
)


def _app(verb: str) -> App:
    app = App(
        name="passbook",
        help=_INTRODUCTION,
        help_epilogue=_EXIT_CODES,
        help_format="plaintext",
        version=lambda: version("passbook"),
        suppress_keyboard_interrupt=False,
    )
    for flag in ("--help", "--version"):
        app[flag].group = _HELP
    verbs = (
        (_MACHINE, "demo", "demo:demo", "Play a story through the real pipeline and check it."),
        (_MACHINE, "up", "up:up", "Run everything on this machine until Ctrl-C."),
        (_MACHINE, "status", "status:status", "Say what runs, where, and how far it is."),
        (_MACHINE, "down", "up:down", "Stop what `up` runs."),
        (_BANK, "account", "account:app", "Open, move money, freeze, close, show."),
        (_BANK, "events", "events:app", "Follow the log of events."),
        (_BANK, "audit", "audit:app", "Show and verify the evidence."),
        (_BANK, "projection", "projection:app", "Positions and lag of the read models."),
        (_OPERATE, "snapshot", "snapshot:app", "Verify the stored states of accounts."),
        (_OPERATE, "log", "log:app", "Bring back what a restored event store has lost."),
        (_OPERATE, "archive", "archive:app", "Move the old part of the log into files, and back."),
        (_OPERATE, "doctor", "doctor:doctor", "Check that everything is as services need it."),
        (_OPERATE, "migrate", "setup:migrate", "Bring the database's schema up to date."),
        (_OPERATE, "topics", "setup:topics", "Create and check the Kafka topics."),
        (_OPERATE, "secrets", "secrets:app", "Make up passwords for a new installation."),
        (_OPERATE, "acls", "acls:app", "Who may do what in Kafka: list, apply, check."),
        (_OPERATE, "run", "run:run", "Run one service in the foreground."),
        (_OPERATE, "dlq", "dlq:app", "Dead letters: list, show, publish again."),
        (_OPERATE, "contracts", "contracts:app", "What others rely on, as files; what changed."),
        (_OPERATE, "bench", "bench:app", "Measure throughput and latency."),
    )
    for place, (group, name, target, text) in enumerate(verbs):
        # The verb that is asked for is loaded anyway, and says more about itself.
        summary = None if name == verb else text
        path = f"passbook.cli.{target}"
        app.command(path, name=name, help=summary, group=group, sort_key=place)
    return app


def run(tokens: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code. Failures are one line on stderr, never a traceback,
    unless `PASSBOOK_DEBUG` is set.
    """
    asked = list(tokens if tokens is not None else sys.argv[1:])
    # What drivers log (a broker that does not answer, say) is told once, by the failure itself.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        code = _app(next(iter(asked), ""))(
            asked,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except CycloptsError as error:
        return _say(_misused(error), EXIT_USAGE)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `passbook … | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except Exception as error:
        if os.environ.get("PASSBOOK_DEBUG"):
            raise
        return _say(*explain(error))
    return int(code or EXIT_OK)


def _misused(error: CycloptsError) -> str:
    asked = " ".join(["passbook", *(error.command_chain or ())])
    # The text of this one lists all commands, and would import every module for that.
    unknown = isinstance(error, UnknownCommandError) and error.unused_tokens
    reason = f"there is no verb `{unknown[0]}`" if unknown else str(error).rstrip(".")
    return f"{reason}: see `{asked} --help`"


def _say(message: str, code: int) -> int:
    red, plain = ("\x1b[31m", "\x1b[0m") if sys.stderr.isatty() else ("", "")
    sys.stderr.write(f"{red}passbook:{plain} {message}\n")
    return code
