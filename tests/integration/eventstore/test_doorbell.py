"""The doorbell: who waits for events is woken at once, and a lost ring costs only a poll."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from passbook.eventstore.doorbell import Doorbell, DoorbellListener
from passbook.service import alongside
from tests.support.databases import Connect, Database
from tests.support.until import until


@pytest.fixture
async def pair(database: Database) -> AsyncIterator[tuple[Doorbell, DoorbellListener]]:
    """Give a doorbell and somebody who hears it."""
    bell = Doorbell(database.dsn("passbook_command_service"))
    listener = DoorbellListener(database.dsn("passbook_outbox_relay"), probe_s=0.1)
    async with alongside(bell.run(), listener.run()):
        assert await listener.wait(10), "a listener that has just connected looks once"
        yield bell, listener


async def test_a_ring_is_heard(pair: tuple[Doorbell, DoorbellListener]) -> None:
    bell, listener = pair
    bell.ring()
    assert await listener.wait(10)


async def test_silence_ends_with_the_timeout(pair: tuple[Doorbell, DoorbellListener]) -> None:
    _, listener = pair
    assert not await listener.wait(0.05)


async def test_a_thousand_rings_at_once_are_a_few(
    pair: tuple[Doorbell, DoorbellListener], connect: Connect
) -> None:
    bell, _ = pair
    heard: list[object] = []
    connection = await connect("passbook_reader")
    await connection.add_listener("passbook_events", lambda *ring: heard.append(ring))
    for _ in range(1000):
        bell.ring()
        if len(heard) > 3:
            break
        await asyncio.sleep(0)
    await until(lambda: heard)
    assert len(heard) <= 3


async def test_both_come_back_after_their_connections_were_cut(
    pair: tuple[Doorbell, DoorbellListener], connect: Connect
) -> None:
    bell, listener = pair
    bell.ring()
    assert await listener.wait(10), "both are connected"
    owner = await connect()
    cut = await owner.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE application_name = 'passbook-doorbell' AND datname = current_database()"
    )
    assert cut == 2

    async def heard() -> bool:
        bell.ring()
        return await listener.wait(0.1)

    await until(heard)
