"""`passbook up` and `passbook down`."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Final
from urllib.parse import urlsplit

from cyclopts import Parameter
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from passbook.cli.failures import CommandFailed, Misused
from passbook.cli.logins import OF_SERVICE
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit
from passbook.cli.progress import Steps
from passbook.cli.stack import Plan, Stack, running_stack
from passbook.config import Settings
from passbook.embedded import supervisor
from passbook.embedded.datadir import DataDir
from passbook.embedded.endpoints import Endpoints
from passbook.embedded.errors import NotRunningError
from passbook.embedded.signals import run_until_signalled

DOWN_BOUND_S: Final = 90.0
"""More than all bounds of an ordered stop together."""
_MOST_INSTANCES: Final = 64  # one a partition at most has work


async def up(
    *,
    scale: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="SERVICE=N runs N instances of a service; can be repeated.",
        ),
    ] = (),
    options: Options = DEFAULTS,
) -> None:
    """Run everything on this machine until Ctrl-C.

    PostgreSQL and Kafka unless they are configured, schema, topics, and every service as a process
    of its own. The data stays in the data directory. A second Ctrl-C kills services that are still
    at work, which loses nothing.
    """
    steps = Steps()
    plan = Plan(DataDir(options.data_dir), steps, parse_scale(scale), log_format=_log_format())
    running: list[Stack] = []

    def hurry() -> None:
        for stack in running:
            kill_services(stack)

    await run_until_signalled(_up(plan, options, running), again=hurry)
    steps.remark(f"Stopped. The data stays in {plan.data_dir.path}")


async def down(*, options: Options = DEFAULTS) -> None:
    """Stop what `passbook up` runs on the data directory; return when nothing of it is left."""
    data_dir = DataDir(options.data_dir)
    try:
        await supervisor.down(data_dir, DOWN_BOUND_S)
    except NotRunningError:
        answer = "Nothing was running"
    else:
        answer = "Stopped"
    emit(
        {"running": False, "stopped": answer == "Stopped"},
        options,
        lambda: Text(f"{answer} on {data_dir.path}"),
    )


def parse_scale(arguments: tuple[str, ...]) -> dict[str, int]:
    """Return service → instances from `SERVICE=N` arguments.

    Raises:
        Misused: there is no such service, or no such number.
    """
    scale = {}
    for argument in arguments:
        name, _, number = argument.partition("=")
        if name not in OF_SERVICE:
            message = f"--scale {argument}: the services are {', '.join(OF_SERVICE)}"
            raise Misused(message)
        if not number.isdecimal() or not 0 < int(number) <= _MOST_INSTANCES:
            message = f"--scale {argument}: give a number from 1 to {_MOST_INSTANCES}"
            raise Misused(message)
        scale[name] = int(number)
    return scale


def kill_services(stack: Stack) -> None:
    """End all services now, as a power failure would."""
    for service in stack.supervisor.services:
        if service.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(service.pid, signal.SIGKILL)


async def _up(plan: Plan, options: Options, running: list[Stack]) -> None:
    async with running_stack(plan) as stack:
        running.append(stack)
        endpoints = plan.data_dir.endpoints()
        if endpoints is None:
            message = f"{plan.data_dir.path}: endpoints.json has vanished"
            raise CommandFailed(message)
        emit(asdict(endpoints), options, lambda: _welcome(endpoints, options))
        await asyncio.Event().wait()


def _log_format() -> str:
    """Return how services write, who themselves see a pipe and no terminal."""
    configured = Settings().log_format
    if configured != "auto":
        return configured
    return "console" if sys.stderr.isatty() else "json"


def _welcome(endpoints: Endpoints, options: Options) -> RenderableType:
    path = DataDir(options.data_dir).path
    elsewhere = "" if options.data_dir == DEFAULTS.data_dir else f" --data-dir {path}"
    places = Table.grid(padding=(0, 2))
    places.add_row("Kafka", Text(endpoints.kafka_bootstrap, style="bold"))
    places.add_row("event store", Text(without_password(endpoints.event_store_dsn), style="bold"))
    places.add_row("read models", Text(without_password(endpoints.read_model_dsn), style="bold"))
    places.add_row("HTTP", Text(endpoints.http_url or "", style="bold"))
    for name, processes in endpoints.services.items():
        for process in processes:
            places.add_row(name, Text(f"pid {process.pid}, {process.metrics_url}"))
    return Group(
        "",
        Text(f"Passbook runs on {path}", style="bold green"),
        places,
        Text(f"Passwords are in {path / 'endpoints.json'}.", style="dim"),
        "",
        Text("Try this in another terminal; Ctrl-C here stops everything, in order:"),
        Text(f"passbook account open --owner Alice --deposit 500.00{elsewhere}", style="bold"),
        "",
    )


def without_password(dsn: str) -> str:
    """Return a DSN fit for a screen that others may see."""
    parts = urlsplit(dsn)
    login, _, place = parts.netloc.rpartition("@")
    user = login.partition(":")[0]
    netloc = f"{user}@{place}" if user else place
    return parts._replace(netloc=netloc, query="").geturl()
