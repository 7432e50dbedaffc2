"""The state at a moment: the same question gets the same answer for ever."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import uuid4

import asyncpg
import pytest

from passbook.eventstore.past import MomentNotPast, recorded_until, recording_times
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.repository import AccountRepository
from tests.support.accounts import busy, opened
from tests.support.databases import Connect, OpenPool
from tests.support.until import until

NOW = "SELECT clock_timestamp()"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = $1"


class Only(NamedTuple):
    """Stands where a pool stands, and gives the one connection whose transaction is open."""

    connection: asyncpg.Connection

    async def acquire(self) -> asyncpg.Connection:
        return self.connection

    async def release(self, connection: asyncpg.Connection) -> None:
        assert connection is self.connection


async def test_everything_up_to_the_moment_is_told_and_nothing_after(
    pools: OpenPool, connect: Connect
) -> None:
    repository = AccountRepository(PostgresEventStore(await pools()))
    reader = PostgresEventStore(await pools("passbook_reader"))
    clock = await connect()
    account = busy(movements=2)
    await repository.save(account)
    moment = await clock.fetchval(NOW)
    account.freeze("court order")
    await repository.save(account)
    told = await recorded_until(reader, account.id, moment)
    assert [event.version for event in told] == [1, 2, 3]
    before = min(event.recorded_at for event in told) - timedelta(microseconds=1)
    assert await recorded_until(reader, account.id, before) == []
    everything = await recorded_until(reader, account.id, await clock.fetchval(NOW))
    assert [event.version for event in everything] == [1, 2, 3, 4]


async def test_moment_waits_for_an_append_that_is_in_flight(
    pools: OpenPool, connect: Connect
) -> None:
    """Seen to fail (nobody waits, and the event would be told only to those who ask later) without
    the call of `EventStore.settle`.
    """
    repository = AccountRepository(PostgresEventStore(await pools()))
    account = opened()
    await repository.save(account)
    writer, reader, watch = [await connect() for _ in range(3)]
    store = PostgresEventStore(Only(reader))
    in_flight = writer.transaction()
    await in_flight.start()
    account.close()
    await AccountRepository(PostgresEventStore(Only(writer))).save(account)
    moment = await watch.fetchval(NOW)
    asked = asyncio.create_task(recorded_until(store, account.id, moment))
    await until(lambda: waits(watch, reader))
    await in_flight.commit()
    assert [event.version for event in await asked] == [1, 2]
    assert await recorded_until(store, account.id, moment) == await asked


async def test_future_is_refused_by_the_clock_of_the_store(pools: OpenPool) -> None:
    reader = PostgresEventStore(await pools("passbook_reader"))
    with pytest.raises(MomentNotPast, match="in the future"):
        await recorded_until(reader, uuid4(), datetime.now(UTC) + timedelta(hours=1))


async def test_times_of_versions_are_those_of_their_events(
    pools: OpenPool, connect: Connect
) -> None:
    store = PostgresEventStore(await pools())
    account = busy(movements=2)
    await AccountRepository(store).save(account)
    history = await store.history(account.id)
    times = await recording_times(await connect(), {account.id: 2, uuid4(): 1})
    assert times == {account.id: history[1].recorded_at}


async def waits(watch: asyncpg.Connection, reader: asyncpg.Connection) -> bool:
    """Tell whether the reader waits for a lock."""
    return bool(await watch.fetchval(WAITING, reader.get_server_pid()))
