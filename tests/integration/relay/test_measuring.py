"""What the relay tells of itself and of the servers when Kafka does not do what it should."""

import asyncio
from collections.abc import Iterable, Mapping

import pytest
from aiokafka.client import AIOKafkaClient

from passbook.eventstore.postgres import PostgresEventStore
from passbook.messaging.producer import Producer, Record
from passbook.telemetry import (
    KAFKA_BROKERS,
    KAFKA_OFFLINE,
    KAFKA_UNDER_MIN_ISR,
    RELAY_BACKLOG,
    RELAY_BACKLOG_SECONDS,
)
from services.outbox_relay.leadership import Leadership
from services.outbox_relay.measuring import Measuring
from tests.integration.relay.log import store_events
from tests.support.databases import OpenPool
from tests.support.ledger import Ledger, running
from tests.support.until import until


async def test_the_backlog_is_told_also_while_kafka_acknowledges_nothing(
    ledger: Ledger, pools: OpenPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idempotent producer waits for as long as a partition lacks replicas. Seen to fail while the
    loop that publishes measured, too: the backlog stayed at 0 for as long.
    """
    acknowledging = asyncio.Event()
    publish = Producer.publish

    async def wait_and_publish(
        producer: Producer, topic: str, records: Mapping[int, Iterable[Record]]
    ) -> dict[int, int]:
        await acknowledging.wait()
        return await publish(producer, topic, records)

    monkeypatch.setattr(Producer, "publish", wait_and_publish)
    async with running(ledger.relay()):
        store = PostgresEventStore(await pools("passbook_command_service"))
        await store_events(store, {5: 3, 9: 2})
        await until(lambda: RELAY_BACKLOG_SECONDS._value.get() > 1)
        assert RELAY_BACKLOG._value.get() == 5
        acknowledging.set()
        await until(lambda: RELAY_BACKLOG._value.get() == 0)
        assert RELAY_BACKLOG_SECONDS._value.get() == 0


async def test_a_broker_that_does_not_answer_counts_for_nothing_whatever_is_known_of_it(
    ledger: Ledger, pools: OpenPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of three brokers gone, and with them most controllers: the one that is left goes on to call
    the others leaders and in sync. Seen to fail while brokers were counted as they are known.
    """
    pool = await pools("passbook_outbox_relay")
    leadership = Leadership(ledger.database.dsn("passbook_outbox_relay"))
    measuring = Measuring(pool, ledger.kafka, ledger.topics, leadership)
    await measuring.measure()
    assert _kafka() == (1, 0, 0)

    async def unanswered(_client: AIOKafkaClient, _node: int) -> bool:
        return False

    monkeypatch.setattr(AIOKafkaClient, "ready", unanswered)
    everything = ledger.topics.partitions * len(list(ledger.topics.specs()))
    await measuring.measure()
    assert _kafka() == (0, everything, everything)


def _kafka() -> tuple[float, ...]:
    gauges = (KAFKA_BROKERS, KAFKA_OFFLINE, KAFKA_UNDER_MIN_ISR)
    return tuple(gauge._value.get() for gauge in gauges)
