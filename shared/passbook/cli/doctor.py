"""`passbook doctor`: is everything as the services need it?"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
from pydantic import ValidationError
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from passbook.cli.checks import archive, broker, log, machine, rights, store
from passbook.cli.checks.finding import Finding, State, Verdict, examine, failed
from passbook.cli.connect import connect
from passbook.cli.failures import EXIT_FAILED, EXIT_OK, NothingRuns
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit
from passbook.config import MissingSetting, Settings, told
from passbook.embedded.datadir import DataDir
from passbook.eventstore.errors import StoreUnavailable
from passbook.eventstore.pool import FAILURES, lent, said
from passbook.eventstore.preflight import event_store_migrations
from passbook.projection.protocol import projection_migrations
from passbook.service import database_pool
from services.read_models import READ_MODELS

_LOG_NEEDS: Final = {"kafka", "topics", "postgresql", "event store schema"}
_DURABLE: Final = "turn them on: commits could be lost"
_GUARDED: Final = "ALTER TABLE … ENABLE TRIGGER ALL, or make it again; then find out who did it"
_CONNECTED_S: Final = 90.0
"""Then the connections are cut off: a server that has stopped to answer would hold each check up."""
_MARKS: Final = {
    State.OK: ("✓", "green"),
    State.WARNING: ("!", "yellow"),
    State.FAILED: ("✗", "red"),
    State.SKIPPED: ("·", "dim"),
}


async def doctor(*, options: Options = DEFAULTS) -> int:
    """Check that everything is as the services need it; exit 1 when something is not.

    The servers are the configured ones or those of a running `passbook up`; where neither is there,
    it is checked whether this machine could run them.
    """
    findings = await examined(options)
    failures = sum(finding.failed for finding in findings)
    document = {"ok": not failures, "checks": [finding.to_dict() for finding in findings]}
    emit(document, options, lambda: _shown(findings, failures))
    return EXIT_FAILED if failures else EXIT_OK


async def examined(options: Options) -> list[Finding]:
    """Return what there is to find, good and bad."""
    data_dir = DataDir(options.data_dir)
    findings = [await examine("python", machine.python())]
    try:
        settings = connect(options)
    except (MissingSetting, ValidationError) as error:
        wrong = told(error) if isinstance(error, ValidationError) else str(error)
        return [*findings, Finding("settings", failed(wrong, "set it as the README says"))]
    except NothingRuns as nothing:
        return [
            *findings,
            await examine("embedded servers", machine.wheels()),
            await examine("kafka", machine.jars()),
            await examine("disk", machine.space(data_dir)),
            Finding("servers", Verdict(State.SKIPPED, str(nothing))),
        ]
    findings.append(await examine("services", machine.services(data_dir)))
    if settings.kafka_bootstrap is not None:
        findings += await _broker(settings)
    if settings.event_store_dsn is not None:
        findings += await _databases(settings)
        broken = {one.name for one in findings if one.failed}
        if settings.kafka_bootstrap is not None and broken.isdisjoint(_LOG_NEEDS):
            findings.append(await examine("log", log.complete(settings)))
    return findings


async def _broker(settings: Settings) -> list[Finding]:
    remedy = "see that PASSBOOK_KAFKA_BOOTSTRAP is right and Kafka runs"
    first = await examine("kafka", broker.answers(settings), remedy)
    if first.failed:
        return [first]
    remedy = "make the topic's settings equal, or choose another PASSBOOK_TOPIC_PREFIX"
    return [first, await examine("topics", broker.topics(settings), remedy)]


async def _databases(settings: Settings) -> list[Finding]:
    try:
        async with _connections(settings) as (events, rows):
            findings = await _examine_databases(settings, events, rows)
            if not any(finding.failed for finding in findings):
                findings.append(await examine("archive", archive.files(events, settings.archive)))
            return findings
    except (StoreUnavailable, *FAILURES) as error:
        remedy = "see that PASSBOOK_EVENT_STORE_DSN is right and PostgreSQL runs"
        return [Finding("postgresql", failed(said(error), remedy))]


@asynccontextmanager
async def _connections(
    settings: Settings,
) -> AsyncIterator[tuple[asyncpg.Connection, asyncpg.Connection]]:
    async with (
        database_pool(settings.event_store, "passbook-doctor") as events,
        database_pool(settings.read_model, "passbook-doctor") as rows,
        lent(events, _CONNECTED_S) as event_store,
        lent(rows, _CONNECTED_S) as read_model,
    ):
        yield event_store, read_model


async def _examine_databases(
    settings: Settings, events: asyncpg.Connection, rows: asyncpg.Connection
) -> list[Finding]:
    findings = await _examine_servers(settings, events, rows)
    findings += [
        await examine("event store schema", store.schema(events, event_store_migrations())),
        await examine("read model schema", store.schema(rows, projection_migrations(*READ_MODELS))),
    ]
    if any(finding.failed for finding in findings[-2:]):
        return findings
    return findings + await _examine_contents(settings, events, rows)


async def _examine_servers(
    settings: Settings, events: asyncpg.Connection, rows: asyncpg.Connection
) -> list[Finding]:
    findings = [
        await examine("postgresql", store.version(events)),
        await examine("durability", store.durability(events), _DURABLE),
        await examine("sessions", store.sessions(events)),
        await examine("clock", store.clock(events)),
    ]
    if settings.read_model != settings.event_store:
        findings.append(await examine("read model server", store.read_model_server(rows)))
    return findings


async def _examine_contents(
    settings: Settings, events: asyncpg.Connection, rows: asyncpg.Connection
) -> list[Finding]:
    return [
        await examine("guards", store.guards(events), _GUARDED),
        await examine("slots", store.slots(events)),
        await examine("inline read models", store.inline(events, settings.inline)),
        await examine("login", rights.log(events, *READ_MODELS)),
        await examine("everybody's rights", rights.everybodys(events)),
        await examine("read model login", rights.rows(rows, *READ_MODELS)),
        await examine("read models", store.read_models(rows, events, *READ_MODELS)),
        await examine("positions", store.positions(rows, events)),
        await examine("relay", store.relay(events)),
    ]


def _shown(findings: list[Finding], failures: int) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, verdict in findings:
        mark, style = _MARKS[verdict.state]
        detail = Text(verdict.detail)
        if verdict.remedy:
            detail.append(f"\n→ {verdict.remedy}", style="bold")
        table.add_row(Text(mark, style=style), name, detail)
    conclusion = f"{failures} failed" if failures else "Nothing keeps the services from working."
    return Group(table, "", Text(conclusion, style="red" if failures else "green"))
