"""Invariant 3: the log of a slot is complete, in commit order, and no reader ever sees a hole."""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

import asyncpg

from passbook.domain.slots import SLOT_COUNT
from passbook.eventstore.errors import SlotMoved
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.store import NewEvent, RecordedEvent
from tests.support.accounts import account_ids, busy, opened, rows
from tests.support.databases import Connect, OpenPool
from tests.support.until import until

_WRITERS: Final = 6
_BATCHES: Final = 25
_SLOTS: Final = (3, 4, 5, 6)


async def _waiting_for_a_lock(connection: asyncpg.Connection) -> bool:
    waiting: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    return waiting


async def _write(store: PostgresEventStore, seed: int) -> list[NewEvent]:
    """Append batches over random slots against the others; return what was appended."""
    random = Random(seed)
    written: list[NewEvent] = []
    for _ in range(_BATCHES):
        slots = random.sample(_SLOTS, random.randint(1, len(_SLOTS)))
        events = rows(*(busy(next(account_ids(slot)), random.randint(0, 2)) for slot in slots))
        while True:
            heads = await store.heads()
            try:
                await store.append_batch({slot: heads[slot] for slot in slots}, events, [])
            except SlotMoved:
                continue
            break
        written += events
    return written


async def _follow(store: PostgresEventStore, done: asyncio.Event) -> list[RecordedEvent]:
    """Read the log as a relay does until everything is there; return it in the order it was seen."""
    position = dict.fromkeys(range(SLOT_COUNT), 0)
    seen: list[RecordedEvent] = []
    while True:
        complete = done.is_set()
        events = await store.read_log(position, 7)
        for event in events:
            assert event.slot_seq == position[event.slot] + 1, "a hole, or not in order"
            position[event.slot] = event.slot_seq
        seen += events
        if complete and not events:
            return seen


async def test_invariant_3_a_reader_beside_concurrent_writers_never_meets_a_hole(
    store: PostgresEventStore, pools: OpenPool
) -> None:
    """Six writers on the same four slots, one reader that polls all the time.

    Seen to fail: with a sequence for each slot instead of its locked row. Writers of several slots
    then run into a deadlock; writers of one slot a batch do not, and the reader meets a hole.
    """
    reader = PostgresEventStore(await pools("passbook_outbox_relay", size=1))
    done = asyncio.Event()
    following = asyncio.create_task(_follow(reader, done))
    async with asyncio.TaskGroup() as group:
        writers = [group.create_task(_write(store, seed)) for seed in range(_WRITERS)]
    done.set()
    seen = await following

    written = [event.event_id for writer in writers for event in writer.result()]
    assert len(seen) == len(written)
    assert {event.event_id for event in seen} == set(written)
    times: dict[int, list[datetime]] = defaultdict(list)
    for event in seen:
        times[event.slot].append(event.recorded_at)
    assert all(moments == sorted(moments) for moments in times.values())


async def test_invariant_3_a_number_is_given_only_after_the_one_before_is_committed(
    store: PostgresEventStore, connect: Connect
) -> None:
    """An append that is not committed yet makes the next one of its slot wait.

    Seen to fail: without `FOR UPDATE` in `eventstore.append` the second one does not wait for the
    slot, takes the same number and breaks on the primary key.
    """
    (first,) = rows(opened(next(account_ids(5))))
    second = opened(next(account_ids(5)))
    slow = await connect()
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute(
        """SELECT FROM eventstore.append(
             ARRAY[5::smallint], ARRAY[NULL::bigint], '{}', '{}',
             ARRAY[5::smallint], ARRAY[$1::uuid], ARRAY[1], ARRAY[$2::uuid], ARRAY['AccountOpened'],
             ARRAY[1::smallint], ARRAY[$3::jsonb], ARRAY['{}'::jsonb], ARRAY[now()],
             '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')""",
        first.stream_id,
        first.event_id,
        first.data,
    )

    late = asyncio.create_task(store.append(second.id, second.pending_events, 0))
    await until(lambda: _waiting_for_a_lock(slow))
    assert await store.read_slot(5, 0, 10) == []
    await transaction.commit()
    await late

    log = await store.read_slot(5, 0, 10)
    assert [(row.slot_seq, row.stream_id) for row in log] == [
        (1, first.stream_id),
        (2, second.id),
    ]


async def test_appends_to_other_slots_do_not_wait(
    store: PostgresEventStore, connect: Connect
) -> None:
    blocker = await connect()
    async with blocker.transaction():
        await blocker.execute("SELECT FROM eventstore.slots WHERE slot = 5 FOR UPDATE")
        async with asyncio.timeout(5):
            await store.append_batch({6: 0}, rows(opened(next(account_ids(6)))), [])


async def test_recording_times_stand_still_rather_than_run_backwards(
    store: PostgresEventStore, connect: Connect
) -> None:
    """The clock was an hour ahead when the slot was written last, and is right again now.

    Seen to fail: with `clock_timestamp()` instead of `greatest(…)` in `eventstore.append`.
    """
    ahead = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    owner = await connect()
    await owner.execute("UPDATE eventstore.slots SET last_recorded_at = $1 WHERE slot = 5", ahead)

    await store.append_batch({5: 0}, rows(opened(next(account_ids(5)))), [])
    await store.append_batch({6: 0}, rows(opened(next(account_ids(6)))), [])

    assert (await store.read_slot(5, 0, 1))[0].recorded_at == ahead
    assert (await store.read_slot(6, 0, 1))[0].recorded_at < ahead


async def test_a_settled_slot_is_told_after_the_append_in_flight(
    store: PostgresEventStore, connect: Connect
) -> None:
    await store.append_batch({5: 0}, rows(busy(next(account_ids(5)), 1)), [])
    owner, reader = await connect(), await connect()
    transaction = owner.transaction()
    await transaction.start()
    await owner.execute("UPDATE eventstore.slots SET head = head WHERE slot = 5")

    settled = asyncio.create_task(reader.fetchrow("SELECT * FROM eventstore.settled(5::smallint)"))
    await until(lambda: _waiting_for_a_lock(owner))
    assert not settled.done()
    await transaction.commit()

    head, recorded_at = await settled
    assert head == 2
    assert recorded_at == (await store.read_slot(5, 1, 1))[0].recorded_at
