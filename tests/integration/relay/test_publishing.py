"""Invariant 4: Kafka carries the log, complete, in order, byte for byte."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from unittest.mock import AsyncMock

import pytest
from aiokafka import ConsumerRecord

from passbook.domain.slots import partition_of
from passbook.eventstore.doorbell import DoorbellListener
from passbook.eventstore.postgres import PostgresEventStore
from passbook.messaging.events import decode
from passbook.messaging.producer import Producer
from services.outbox_relay.leadership import Leadership
from services.outbox_relay.positions import RelayPositions
from services.outbox_relay.relay import OutboxRelay
from tests.integration.relay.log import (
    carries,
    everything_published,
    published,
    store_events,
    stored,
)
from tests.support.databases import OpenPool
from tests.support.ledger import Ledger, Part, running
from tests.support.outsider import Message
from tests.support.until import until


@pytest.fixture
async def store(pools: OpenPool) -> PostgresEventStore:
    """Give the store to write events to."""
    return PostgresEventStore(await pools("passbook_command_service"))


async def test_invariant_4_kafka_carries_the_log_as_it_is_stored(
    ledger: Ledger, store: PostgresEventStore
) -> None:
    """A backlog, and what comes while the relay runs; each event once, where its slot belongs.

    Seen to fail: with the log read newest first, with a relay that starts at the head instead of the
    tail, and with data written in another form on the way.
    """
    await store_events(store, {slot: 1 + slot % 5 for slot in range(64)})
    async with running(ledger.relay()):
        await store_events(store, {3: 250, 7: 2, 63: 1})
        log = await stored(store)
        records = await everything_published(ledger, len(log))

    assert len(records) == len(log)
    assert carries(records, log)
    partitions = ledger.topics.partitions
    assert all(
        record.partition == partition_of(decode(*_parts(record)).slot, partitions)
        for record in records
    )


def _parts(record: ConsumerRecord) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    return record.key, record.value, list(record.headers)


async def test_a_restarted_relay_publishes_nothing_twice(
    ledger: Ledger, store: PostgresEventStore
) -> None:
    for count in (1, 2, 3):
        async with running(ledger.relay()):
            await store_events(store, {5: 3, 9: 1, 12: 1})
            await everything_published(ledger, 5 * count)
    records = await ledger.outsider.everything("events")
    assert published(records) == {
        5: list(range(1, 10)),
        9: [1, 2, 3],
        12: [1, 2, 3],
    }


async def test_a_relay_that_died_before_it_wrote_its_position_goes_on_at_the_tail(
    ledger: Ledger, store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka's log is the truth, the table of positions only a hint."""
    with monkeypatch.context() as patch:
        patch.setattr(RelayPositions, "save", AsyncMock())
        dying = Part(ledger.relay())
        await store_events(store, {5: 3, 9: 1})
        await everything_published(ledger, 4)
        await dying.ready()
        await dying.crash()
    async with running(ledger.relay()):
        await store_events(store, {5: 1, 9: 1})
        records = await everything_published(ledger, 6)
    assert published(records) == {5: [1, 2, 3, 4], 9: [1, 2]}


async def test_a_record_of_somebody_else_in_the_topic_does_not_disturb(
    ledger: Ledger, store: PostgresEventStore
) -> None:
    foreign = [
        Message(b"x", b"nonsense", [], partition) for partition in range(ledger.topics.partitions)
    ]
    nulls = Message(b"x", b"{}", [("ce_slot", None), ("ce_slotseq", None)], 1)
    async with running(ledger.relay()):
        await store_events(store, {5: 2})
        await everything_published(ledger, 2)
        await ledger.outsider.send(*foreign, nulls, topic="events")
    async with running(ledger.relay()):
        await store_events(store, {5: 2})
        records = await everything_published(ledger, 9)
    assert published([record for record in records if record.key != b"x"]) == {5: [1, 2, 3, 4]}


async def _relay(ledger: Ledger, pools: OpenPool, stack: AsyncExitStack) -> OutboxRelay:
    """Return a relay that believes that it leads, whoever else does."""
    pool = await pools("passbook_outbox_relay")
    producer = await stack.enter_async_context(Producer(ledger.kafka, client_id="zombie"))
    leadership = AsyncMock(spec=Leadership, groups=frozenset({0}))
    doorbell = DoorbellListener(ledger.database.dsn("passbook_outbox_relay"))
    positions = RelayPositions(pool, ledger.kafka, ledger.topics)
    return OutboxRelay(
        PostgresEventStore(pool), positions, producer, ledger.topics, leadership, doorbell
    )


async def test_invariant_4_a_zombie_relay_can_only_repeat(
    ledger: Ledger, store: PostgresEventStore, pools: OpenPool
) -> None:
    """Three relays that all believe to lead publish the same backlog at the same time.

    Seen to fail: with relays that read each slot newest first.
    """
    await store_events(store, {5: 300, 9: 300, 13: 300, 2: 50})
    log = await stored(store)
    stop = asyncio.Event()
    # All know where to begin before one publishes: otherwise the quickest leaves nothing to repeat.
    everybody = asyncio.Barrier(3)
    async with AsyncExitStack() as stack:
        relays = [await _relay(ledger, pools, stack) for _ in range(3)]
        async with asyncio.TaskGroup() as group:
            for relay in relays:
                _wait_after_finding(relay, everybody)
                group.create_task(relay.run(stop))
            await until(lambda: all(sum(r._published.values()) == len(log) for r in relays), 20)
            stop.set()

    records = await ledger.outsider.everything("events")
    assert len(records) > len(log), "nobody repeated anything: no test at all"
    assert carries(records, log)


def _wait_after_finding(relay: OutboxRelay, everybody: asyncio.Barrier) -> None:
    find = relay._find_position

    async def find_and_wait(slots: Sequence[int]) -> None:
        await find(slots)
        await everybody.wait()

    relay._find_position = find_and_wait  # type: ignore[method-assign]
