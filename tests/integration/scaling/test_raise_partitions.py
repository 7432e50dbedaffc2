"""`deploy/runbooks/raise-partitions.md`, step by step: from 16 partitions to 64 while commands come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from structlog.testing import capture_logs

from passbook.cli.bench.workload import Expectation, publish_backlog
from passbook.client import PassbookClient
from passbook.domain.slots import partition_of
from passbook.eventstore.postgres import PostgresEventStore
from passbook.messaging.events import decode
from passbook.messaging.producer import Producer
from passbook.messaging.topics import Topics
from tests.integration.relay.log import carries, stored
from tests.support.databases import Connect, Database, OpenPool
from tests.support.ledger import Ledger, running
from tests.support.outsider import Outsider
from tests.support.reckoning import evidence_holds
from tests.support.servers import Servers
from tests.support.topics import new_topics
from tests.support.until import until

_BALANCES = "SELECT account_id, balance, version FROM balances.accounts"
_APPLIED = "SELECT min(n) FROM (SELECT sum(slot_seq) AS n FROM projections.positions GROUP BY projection) p"


def _ledger(servers: Servers, database: Database, topics: Topics) -> Ledger:
    kafka = servers.kafka_bootstrap
    return Ledger(database, topics, kafka, Outsider(kafka, topics.prefix, topics.partitions))


@pytest.fixture
async def ledgers(
    servers: Servers, database: Database, kafka_admin: AIOKafkaAdminClient
) -> AsyncIterator[tuple[Ledger, Ledger]]:
    """Give one event store with topics of 16 partitions, and with topics of 64."""
    async with new_topics(kafka_admin, 16) as former, new_topics(kafka_admin, 64) as new:
        yield _ledger(servers, database, former), _ledger(servers, database, new)


async def _publish(ledger: Ledger, expected: Expectation, seed: int) -> None:
    async with Producer(ledger.kafka, client_id="test") as producer:
        await publish_backlog(producer, ledger.topics, 300, 60, seed=seed, before=expected)


async def test_more_partitions_by_new_topics_that_the_relay_fills_from_the_store(
    ledgers: tuple[Ledger, Ledger], pools: OpenPool, connect: Connect
) -> None:
    """Everything is in the new topics, in order, each slot in a partition of its own; read models go on
    where they were; a subscriber gets everything, once, in order, and without a hole.

    Seen to fail: with a relay that goes on from the positions of the former topics: the subscriber is told
    "slot 56: expected number 1, found 28".
    """
    former, new = ledgers
    owner, expected = await connect(), Expectation()
    await _publish(former, expected, 1)
    async with AsyncExitStack() as afterwards:
        async with AsyncExitStack() as before, running(former.command_service()) as deciding:
            relay = await before.enter_async_context(running(former.relay()))
            for work in (former.balances(), former.audit()):
                await before.enter_async_context(running(work))
            await until(lambda: _applied(expected, owner), 30)
            # 2. and 3.: the new ones beside the former ones. The new relay stands by.
            works = (new.command_service(), new.relay(), new.balances(), new.audit())
            for work in works:
                await afterwards.enter_async_context(running(work))
            await asyncio.gather(_publish(former, expected, 2), _publish(new, expected, 3))
            # 4. The former relays end; the new one publishes everything, from the first event on.
            await relay.stop()
            await _publish(former, expected, 4)
            await until(lambda: _applied(expected, owner), 30)
            # 6. Nobody sends commands to the former topics any more, and all are decided.
            await until(lambda: _decided(former), 30)
            await deciding.stop()
        await _publish(new, expected, 5)
        await until(lambda: _applied(expected, owner), 30)
        received = await _subscribed(new, expected.events)

    records = await new.outsider.everything("events")
    assert carries(records, await stored(PostgresEventStore(await pools())))
    events = [decode(one.key, one.value, one.headers) for one in records]
    assert {partition_of(event.slot, 64) for event in events} == {one.partition for one in records}
    rows = {row[0]: (row[1], row[2]) for row in await owner.fetch(_BALANCES)}
    assert rows == {id_: (one.balance, one.version) for id_, one in expected.accounts.items()}
    await evidence_holds(connect, expected.events)
    assert len(set(received)) == len(received) == expected.events


async def _applied(expected: Expectation, owner: object) -> bool:
    return bool(await owner.fetchval(_APPLIED) == expected.events)  # type: ignore[attr-defined]


async def _decided(ledger: Ledger) -> bool:
    return await ledger.lag("commands", "command-service") == 0


async def _subscribed(ledger: Ledger, count: int) -> list[tuple[str, int]]:
    """Return account and version of all events that a subscriber gets; it stops at any hole."""
    found: list[tuple[str, int]] = []
    async with (
        PassbookClient(ledger.kafka, ledger.topics) as bank,
        bank.subscribe(group="statements") as events,
    ):
        async for event in events:
            found.append((str(event.account_id), event.version))
            await event.ack()
            if len(found) == count:
                return found
    return found


async def test_a_relay_of_the_former_topics_that_comes_back_leaves_no_hole_in_either(
    ledgers: tuple[Ledger, Ledger], pools: OpenPool
) -> None:
    """Somebody starts one of the former relays again, in the middle of it all: each relay finds its own
    place in its own topic.
    """
    expected = Expectation()
    former, new = ledgers
    store = PostgresEventStore(await pools())
    for seed, ledger in enumerate((former, new, former, new), start=1):
        async with running(ledger.command_service()), running(ledger.relay()):
            await _publish(ledger, expected, seed)
            events = expected.events
            async with ledger.outsider.watched("events") as published:

                async def complete(wanted: int = events) -> bool:
                    return await published() >= wanted

                with capture_logs() as logs:
                    await until(complete, 30)
        assert not [entry for entry in logs if entry["event"] == "relay.halted"]
        assert carries(await ledger.outsider.everything("events"), await stored(store))
