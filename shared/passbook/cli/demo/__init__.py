"""`passbook demo`: a story, played through the real pipeline, each step of it checked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

from passbook.cli.connect import admin_dsn, connect, read_model_owner, running
from passbook.cli.demo.archiving import Archiving
from passbook.cli.demo.asking import Asking, Cast
from passbook.cli.demo.keeping import Keeping
from passbook.cli.demo.outside import Outside
from passbook.cli.demo.reading import Reading
from passbook.cli.demo.rebuild import rebuild
from passbook.cli.demo.report import Report
from passbook.cli.failures import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit_json, out
from passbook.cli.progress import Steps
from passbook.cli.stack import Plan, running_stack
from passbook.client import ClientError, PassbookClient
from passbook.config import Settings
from passbook.embedded.datadir import DataDir
from passbook.embedded.signals import run_until_signalled
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.errors import EventStoreError
from passbook.eventstore.postgres import PostgresEventStore
from passbook.messaging.tail import Tail
from passbook.service import UNAVAILABLE, database_pool

_APPLICATION: Final = "passbook-demo"


async def demo(*, options: Options = DEFAULTS) -> int:
    """Play a story through the real pipeline, and check every step of it.

    What is missing is started: PostgreSQL, Kafka and the services, in the data directory. Where
    `passbook up` runs, it is used. What was started here is stopped again. The data stays; every
    performance has two new accounts.
    """
    report = Report(None if options.json else out())
    played = await run_until_signalled(_play(report, options))
    if played is None:
        return EXIT_INTERRUPTED
    if options.json:
        emit_json(report.to_dict())
    return EXIT_OK if report.ok else EXIT_FAILED


async def _play(report: Report, options: Options) -> bool:
    async with _bank(options) as settings:
        try:
            owners = admin_dsn(options), read_model_owner(options)
            await perform(settings, *owners, running(options).http_url, report)
        except (ClientError, EventStoreError, *UNAVAILABLE) as error:
            report.check("the story comes to its end", str(error), ok=False)
        report.conclude()
    return True


async def perform(
    settings: Settings,
    event_store_owner: str,
    read_model_owner: str,
    http_url: str | None,
    report: Report,
) -> None:
    """Play the story at a bank that runs, and record what was seen. The owners are logins,
    `http_url` is where the query API answers.

    Raises:
        ClientError, EventStoreError, ConsumerLost: it does not run well enough for that.
    """
    cast = Cast(alice=uuid4(), bob=uuid4())
    topics = settings.topics
    async with (
        database_pool(settings.event_store, _APPLICATION) as events,
        database_pool(settings.read_model, _APPLICATION) as rows,
        Tail(settings.kafka, topics.events, topics.partitions, client_id=_APPLICATION) as published,
        PassbookClient(settings.kafka, topics, source="/passbook/demo") as client,
        client.subscribe(group=f"{_APPLICATION}-{uuid4()}", from_="now") as subscribed,
    ):
        archive = Archive(settings.archive)
        store = PostgresEventStore(events, archive)
        reading = Reading(events, rows, published, report, cast, archive)
        await Asking(client, report, cast).play()
        await reading.play()
        await Outside(http_url, subscribed, report, cast).play()
        await Keeping(client, events, store, report).play()
        await rebuild(settings, read_model_owner, report)
        archiving = Archiving(settings, event_store_owner, rows, report)
        await archiving.move(cast.bob)
        await reading.prove()
        await archiving.bring_back()


@asynccontextmanager
async def _bank(options: Options) -> AsyncIterator[Settings]:
    """Have a bank for the length of the block: the one that runs, or one of our own."""
    data_dir = DataDir(options.data_dir)
    if data_dir.is_running():
        yield connect(options)
        return
    steps = Steps()
    steps.remark(f"Starting Passbook on {data_dir.path}")
    async with running_stack(Plan(data_dir, steps, quiet=True)):
        yield connect(options)
    steps.remark(f"Stopped. The data stays in {data_dir.path}")
