"""Wiring of the command service: settings in, clients built, the heart runs."""

import asyncio
import sys

import asyncpg

from passbook.config import Settings
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.cache import AccountCache
from passbook.eventstore.doorbell import Doorbell
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.same_server import SameServer, while_same
from passbook.eventstore.snapshots_postgres import PostgresSnapshotStore
from passbook.messaging.group_consumer import Consumer
from passbook.messaging.producer import Producer
from passbook.projection.inline import inline_hook
from passbook.recovery.ahead import check_not_behind
from passbook.service import (
    Health,
    alongside,
    check_kafka,
    event_store_pool,
    run_service,
    service_settings,
)
from passbook.tracing.switch import processing
from services.command_service.answers import AnswerDesk
from services.command_service.counted import announce
from services.command_service.engine import CommandService
from services.command_service.snapshotting import SnapshotWriter
from services.command_service.traces import described_command, sampled_command

NAME = "command-service"
GROUP = "command-service"
POLL_RECORDS = 1000
CACHED_ACCOUNTS = 20_000


async def session(stop: asyncio.Event, health: Health, settings: Settings) -> None:
    """Decide commands until `stop` is set."""
    topics = settings.topics
    await check_kafka(settings)
    async with event_store_pool(settings, NAME, SameServer()) as pool:
        inline = await inline_hook(pool, settings.inline)
        store = PostgresEventStore(pool, Archive(settings.archive), inline=inline)
        await check_not_behind(pool, store, settings.kafka, topics, NAME)
        await _decide(stop, health, settings, pool, store)


async def _decide(
    stop: asyncio.Event,
    health: Health,
    settings: Settings,
    pool: asyncpg.Pool,
    store: PostgresEventStore,
) -> None:
    topics = settings.topics
    doorbell = Doorbell(settings.event_store)
    async with (
        Producer(settings.kafka, client_id=NAME) as producer,
        Consumer(
            settings.kafka,
            topics.commands,
            group=topics.prefix + GROUP,
            client_id=NAME,
            max_records=POLL_RECORDS,
            session_timeout_s=settings.kafka_session_timeout_s,
        ) as consumer,
        alongside(doorbell.run()),
        SnapshotWriter(PostgresSnapshotStore(pool)) as writer,
    ):
        desk = AnswerDesk(consumer, producer, topics)
        cache = AccountCache(store, CACHED_ACCOUNTS, PostgresSnapshotStore(pool))
        traces = processing(
            settings.tracing,
            topics.commands,
            topics.prefix + GROUP,
            sampled_command,
            described_command,
        )
        service = CommandService(
            store,
            cache,
            consumer,
            desk,
            doorbell.ring,
            writer.offer,
            traces,
            settings.set_aside,
        )
        health.ready()
        await while_same(pool, service.run(stop))


def main() -> int:
    """Run until SIGTERM; return the exit code."""
    settings = service_settings(NAME)
    announce(settings.topics)
    return run_service(NAME, settings, lambda stop, health: session(stop, health, settings))


if __name__ == "__main__":
    sys.exit(main())
