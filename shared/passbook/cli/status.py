"""`passbook status`: what runs, where, and how far it is."""

from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from passbook.cli.connect import connect
from passbook.cli.failures import NothingRuns
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit
from passbook.cli.probes import ServiceState, service_states
from passbook.cli.projection import lag_table
from passbook.embedded.datadir import DataDir
from passbook.projection.lag import ProjectionLag, projection_lags
from passbook.service import database_pool
from services.outbox_relay.queries import Backlog, relay_backlog

_APPLICATION = "passbook-status"


async def status(*, options: Options = DEFAULTS) -> None:
    """Say what runs, where, and how far it is.

    With servers of one's own, positions and lag are told without services being run by `up`.
    """
    data_dir = DataDir(options.data_dir)
    endpoints = data_dir.endpoints()
    services = await service_states(endpoints) if endpoints is not None else []
    try:
        lags, backlog = await _progress(options)
    except NothingRuns:
        lags, backlog = [], None
    document = {
        "running": endpoints is not None,
        "endpoints": endpoints and asdict(endpoints),
        "services": [asdict(service) for service in services],
        "projections": [lag.to_dict() for lag in lags],
        "relay": backlog and {"backlog_events": backlog.events, "backlog_s": backlog.seconds},
    }
    headline = _headline(data_dir, None if endpoints is None else endpoints.http_url)
    emit(document, options, lambda: _shown(headline, services, lags, backlog))


async def _progress(options: Options) -> tuple[list[ProjectionLag], Backlog]:
    settings = connect(options)
    async with (
        database_pool(settings.event_store, _APPLICATION) as events,
        database_pool(settings.read_model, _APPLICATION) as rows,
        events.acquire() as event_store,
        rows.acquire() as read_model,
    ):
        backlog = await relay_backlog(event_store)
        return await projection_lags(read_model, event_store), backlog


def _shown(
    headline: Text,
    services: list[ServiceState],
    lags: list[ProjectionLag],
    backlog: Backlog | None,
) -> RenderableType:
    parts: list[Any] = [headline]
    if services:
        parts += ["", _services(services)]
    if lags:
        parts += ["", lag_table(lags)]
    if backlog is not None:
        parts += ["", f"The relay has {backlog.events} events to publish."]
    return Group(*parts)


def _headline(data_dir: DataDir, http_url: str | None) -> Text:
    pid = data_dir.supervisor_pid()
    if pid is None:
        return Text(f"Nothing runs on {data_dir.path}: start it with `passbook up`.")
    where = f", over HTTP at {http_url}" if http_url else ""
    return Text(f"Passbook runs on {data_dir.path} (pid {pid}){where}", style="bold")


def _services(services: list[ServiceState]) -> Table:
    table = Table("service", "pid", "state", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for service in services:
        style = "green" if service.ready else "red"
        table.add_row(service.name, str(service.pid or ""), Text(service.state, style=style))
    return table
