"""A projector as a process: the same wiring for every projection."""

import asyncio

import asyncpg

from passbook.config import Settings
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.doorbell import Doorbell
from passbook.eventstore.errors import StoreUnavailable
from passbook.eventstore.pool import FAILURES, lent, said
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.preflight import check_event_store, check_migrated
from passbook.eventstore.rights import check_rights
from passbook.eventstore.server import check_durability, check_server, check_writable
from passbook.messaging.dead_letters import DeadLetterOffice
from passbook.messaging.group_consumer import Consumer
from passbook.messaging.group_offsets import announce_consumer
from passbook.messaging.topics import Topics
from passbook.projection.positions import Positions
from passbook.projection.protocol import Projection, doorbell_channel, projection_migrations
from passbook.projection.rights import rights_of
from passbook.projection.runtime import ProjectionRuntime
from passbook.series import start_at_zero
from passbook.service import Health, alongside, check_kafka, database_pool, run_service
from passbook.telemetry import (
    DEAD_LETTERS,
    PROJECTION_APPLIED,
    PROJECTION_DUPLICATES,
    PROJECTION_FENCED,
    PROJECTION_GAPS,
    PROJECTION_LAG,
    PROJECTION_LAG_SECONDS,
    PROJECTION_PARKED,
)
from passbook.tracing.described import consumed_event, sampled_record
from passbook.tracing.switch import processing

_POLL_RECORDS = 2000
_PREFLIGHT_TIMEOUT_S = 10.0


def run_projector(name: str, projection: Projection, settings: Settings) -> int:
    """Run a projection as the service `name` until SIGTERM; return the exit code."""
    _announce(projection.name, settings.topics)
    return run_service(
        name, settings, lambda stop, health: session(stop, health, name, projection, settings)
    )


async def session(
    stop: asyncio.Event, health: Health, name: str, projection: Projection, settings: Settings
) -> None:
    """Apply events until `stop` is set."""
    topics = settings.topics
    await check_kafka(settings)
    async with (
        database_pool(settings.event_store, name) as events,
        database_pool(settings.read_model, name) as rows,
    ):
        await _preflight(projection, settings, events, rows)
        doorbell = Doorbell(settings.read_model, doorbell_channel(projection.name))
        async with (
            DeadLetterOffice(
                settings.kafka, topics.events_dlq(projection.name), client_id=name
            ) as office,
            Consumer(
                settings.kafka,
                topics.events,
                group=topics.prefix + name,
                client_id=name,
                max_records=_POLL_RECORDS,
                session_timeout_s=settings.kafka_session_timeout_s,
                gather_s=projection.gather_s,
            ) as consumer,
            alongside(doorbell.run()),
        ):
            runtime = ProjectionRuntime(
                projection,
                rows,
                PostgresEventStore(events, Archive(settings.archive)),
                consumer,
                office,
                topics.partitions,
                doorbell.ring,
                processing(
                    settings.tracing,
                    topics.events,
                    topics.prefix + name,
                    sampled_record,
                    consumed_event,
                ),
            )
            health.ready()
            await runtime.run(stop)


def _announce(projection: str, topics: Topics) -> None:
    """Have every series that this projector will count in from now on."""
    for metric in (
        PROJECTION_APPLIED,
        PROJECTION_DUPLICATES,
        PROJECTION_FENCED,
        PROJECTION_GAPS,
        PROJECTION_LAG,
        PROJECTION_LAG_SECONDS,
        PROJECTION_PARKED,
    ):
        start_at_zero(metric, (projection,))
    start_at_zero(DEAD_LETTERS, (topics.events_dlq(projection),))
    announce_consumer(topics.events)


async def _preflight(
    projection: Projection, settings: Settings, events: asyncpg.Pool, rows: asyncpg.Pool
) -> None:
    """Return if both databases fit each other and this code.

    Raises:
        StoreMismatch: they do not; the message says what to do.
        StoreUnavailable: one does not answer, or the read models' takes no writes.
    """
    unsafe = settings.allow_unsafe_durability
    try:
        async with lent(events, _PREFLIGHT_TIMEOUT_S) as connection:
            environment_id = await check_event_store(
                connection, projection.writer, allow_unsafe=unsafe
            )
        async with lent(rows, _PREFLIGHT_TIMEOUT_S) as connection:
            await check_writable(connection)
            await check_server(connection)
            if not unsafe:
                await check_durability(connection)
            await check_migrated(connection, projection_migrations(projection))
            await check_rights(connection, projection.writer, rights_of(projection))
            positions = Positions(projection.name)
            await positions.claim(connection, environment_id, projection.version)
    except FAILURES as error:
        raise StoreUnavailable(said(error)) from error
