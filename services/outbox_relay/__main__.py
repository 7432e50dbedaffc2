"""Wiring of the outbox relay: settings in, clients built, the heart runs."""

import asyncio
import sys

from passbook.config import Settings
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.doorbell import DoorbellListener
from passbook.eventstore.postgres import PostgresEventStore
from passbook.messaging.producer import Producer
from passbook.service import (
    Health,
    alongside,
    check_kafka,
    event_store_pool,
    run_service,
    service_settings,
)
from passbook.tracing.described import published_event, sampled_outgoing
from passbook.tracing.switch import sending
from services.outbox_relay.leadership import Leadership
from services.outbox_relay.measuring import Measuring
from services.outbox_relay.positions import RelayPositions
from services.outbox_relay.relay import OutboxRelay

NAME = "outbox-relay"


async def session(stop: asyncio.Event, health: Health, settings: Settings) -> None:
    """Publish what is this relay's to publish until `stop` is set; stand by for the rest."""
    await check_kafka(settings)
    doorbell = DoorbellListener(settings.event_store)
    groups = settings.relay_groups
    async with (
        event_store_pool(settings, NAME) as pool,
        Producer(settings.kafka, client_id=NAME) as producer,
        Leadership(settings.event_store, groups) as leadership,
        alongside(
            doorbell.run(),
            leadership.run(),
            Measuring(pool, settings.kafka, settings.topics, leadership).run(),
        ),
    ):
        health.ready()
        relay = OutboxRelay(
            PostgresEventStore(pool, Archive(settings.archive)),
            RelayPositions(pool, settings.kafka, settings.topics),
            producer,
            settings.topics,
            leadership,
            doorbell,
            groups,
            sending(settings.tracing, settings.topics.events, sampled_outgoing, published_event),
        )
        async with alongside(relay.measure()):
            await relay.run(stop)


def main() -> int:
    """Run until SIGTERM; return the exit code."""
    settings = service_settings(NAME)
    return run_service(NAME, settings, lambda stop, health: session(stop, health, settings))


if __name__ == "__main__":
    sys.exit(main())
