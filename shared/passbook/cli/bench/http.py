"""HTTP: how many balances a second are read through the query API, and how many commands a second are
answered with their outcome.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4

from rich.table import Table

from passbook.cli.bench.environment import (
    COMMAND_SERVICE,
    FOLLOWERS,
    Environment,
    bench_environment,
    bench_servers,
)
from passbook.cli.failures import CommandFailed
from passbook.cli.logins import QUERY_API
from passbook.cli.output import err
from passbook.client import PassbookClient
from passbook.domain.commands import OpenAccount
from passbook.embedded.ports import LOOPBACK, free_port

READERS: Final = 32
SENDERS: Final = 200
"""Connections. Commands wait for their outcomes; more of them under way are decided together."""
_DEPOSIT: Final = Decimal("500.00")
_WARM_UP_S: Final = 1.5
_AT_ONCE: Final = 200
_CURRENT_S: Final = 30.0
_LOAD: Final = "passbook.cli.bench.http_load"
_HELD: Final = "SELECT count(*), coalesce(sum(balance), 0) FROM balances.accounts"


async def measure_http(seconds: int, accounts: int) -> dict[str, Any]:
    """Return the report of one run; see `passbook bench http --help`.

    Raises:
        CommandFailed: some answer was not the one asked for.
        TimeoutError: the balances were not current long after the last command.
    """
    port = free_port()
    names = [*FOLLOWERS, COMMAND_SERVICE, QUERY_API]
    async with (
        bench_servers() as servers,
        bench_environment(servers) as environment,
        environment.services(names, PASSBOOK_HTTP_PORT=str(port)),
    ):
        with err().status(f"opening {accounts} accounts"):
            opened = await _open(environment, accounts)
            await _current(environment, accounts * _DEPOSIT)
        url = f"http://{LOOPBACK}:{port}"
        with err().status(f"reading balances for {seconds} s"):
            reads = await _load(url, "GET", [f"/v1/accounts/{one}" for one in opened], seconds)
        with err().status(f"sending commands for {seconds} s"):
            paths = [f"/v1/accounts/{one}/deposits" for one in opened]
            commands = await _load(url, "POST", paths, seconds)
        with err().status("comparing the balances"):
            await _current(environment, accounts * _DEPOSIT + commands["answered"])
    return {"seconds": seconds, "accounts": accounts, "reads": reads, "commands": commands}


async def _open(environment: Environment, accounts: int) -> list[UUID]:
    settings = environment.settings
    ids = [uuid4() for _ in range(accounts)]
    async with PassbookClient(settings.kafka, settings.topics, client_id="bench") as bank:
        for first in range(0, accounts, _AT_ONCE):
            async with asyncio.TaskGroup() as group:
                for account_id in ids[first : first + _AT_ONCE]:
                    group.create_task(bank.execute(OpenAccount(account_id, "Bench", _DEPOSIT)))
    return ids


async def _current(environment: Environment, total: Decimal) -> None:
    """Return when the balances add up to exactly this.

    Raises:
        TimeoutError: they do not.
    """
    async with asyncio.timeout(_CURRENT_S):
        while (await environment.admin.fetchrow(_HELD))["coalesce"] != total:  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(0.05)


async def _load(url: str, method: str, paths: Sequence[str], seconds: float) -> dict[str, Any]:
    """Warm up, measure, and return the figures; `answered` counts both."""
    task = {
        "url": url,
        "method": method,
        "paths": paths,
        "connections": READERS if method == "GET" else SENDERS,
        **({"body": '{"amount":"1.00"}'} if method == "POST" else {}),
    }
    warm = await _generated(task | {"seconds": _WARM_UP_S})
    report = await _generated(task | {"seconds": seconds})
    statuses = {*warm["statuses"], *report["statuses"]}
    if statuses != {"200"}:
        message = (
            f"{method} was not always answered with 200: {warm['statuses']}, {report['statuses']}"
        )
        raise CommandFailed(message)
    answered = warm["statuses"]["200"] + report.pop("statuses")["200"]
    return {"connections": task["connections"], **report, "answered": answered}


async def _generated(task: dict[str, Any]) -> dict[str, Any]:
    """Return what a load generator in a process of its own says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", _LOAD),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate(json.dumps(task).encode())
    if process.returncode:
        message = f"the load generator ended with {process.returncode}"
        raise CommandFailed(message)
    report: dict[str, Any] = json.loads(output)
    return report


def http_table(report: dict[str, Any]) -> Table:
    """Return what a person wants to know of a run."""
    table = Table(title=f"{report['accounts']:,} accounts, {report['seconds']} s each")
    for column in ("over HTTP", "connections", "a second", "p50", "p99"):
        table.add_column(column, justify="left" if column == "over HTTP" else "right")
    for name, title in (("reads", "balances read"), ("commands", "commands with outcome")):
        figures = report[name]
        table.add_row(
            title,
            str(figures["connections"]),
            f"{figures['per_s']:,}",
            f"{figures['p50_ms']:.1f} ms",
            f"{figures['p99_ms']:.1f} ms",
        )
    return table
