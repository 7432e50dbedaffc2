"""Reading the log by slot, as a whole, and by stream; and the text in which it is kept."""

from itertools import islice
from uuid import uuid4

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from passbook.eventstore.memory import InMemoryEventStore
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.store import EventStore, RecordedEvent
from tests.support.accounts import accepted, account_ids, busy, opened, rows

_EVERYTHING = dict.fromkeys(range(64), 0)


def _numbers(events: list[RecordedEvent]) -> list[tuple[int, int]]:
    return [(event.slot, event.slot_seq) for event in events]


async def test_a_slot_is_read_in_portions(store: EventStore) -> None:
    events = rows(*(opened(account_id) for account_id in islice(account_ids(5), 5)))
    await store.append_batch({5: 0}, events, [])

    assert _numbers(await store.read_slot(5, 0, 2)) == [(5, 1), (5, 2)]
    assert _numbers(await store.read_slot(5, 2, 2)) == [(5, 3), (5, 4)]
    assert _numbers(await store.read_slot(5, 4, 2)) == [(5, 5)]
    assert await store.read_slot(5, 5, 2) == []
    assert await store.read_slot(6, 0, 2) == []


async def test_the_log_is_read_above_a_position_of_each_slot(store: EventStore) -> None:
    for slot, count in ((3, 4), (5, 2), (9, 1)):
        events = rows(*(opened(account_id) for account_id in islice(account_ids(slot), count)))
        await store.append_batch({slot: 0}, events, [])

    found = await store.read_log({3: 1, 5: 2, 9: 0, 60: 0}, 2)

    assert sorted(_numbers(found)) == [(3, 2), (3, 3), (9, 1)]
    by_slot = [event.slot_seq for event in found if event.slot == 3]
    assert by_slot == [2, 3]


async def test_a_slot_that_is_not_asked_for_is_not_read(store: EventStore) -> None:
    await store.append_batch({3: 0}, rows(opened(next(account_ids(3)))), [])
    assert await store.read_log({4: 0}, 10) == []
    assert await store.read_log({}, 10) == []


async def test_streams_are_read_up_to_a_number_of_their_slot(store: EventStore) -> None:
    one, two = sorted(islice(account_ids(7), 2))
    other = next(account_ids(9))
    first, second, third = rows(busy(one, 2)), rows(busy(two, 2)), rows(busy(other, 2))
    mixed = [row for pair in zip(first, second, strict=True) for row in pair]
    await store.append_batch({7: 0, 9: 0}, [*mixed, *third], [])

    found = await store.read_streams([two, one, other, uuid4()], {7: 4, 9: 1})

    assert [(e.stream_id, e.version) for e in found if e.slot == 7] == [
        (one, 1),
        (one, 2),
        (two, 1),
        (two, 2),
    ]
    assert [(e.stream_id, e.version) for e in found if e.slot == 9] == [(other, 1)]


async def test_streams_of_a_slot_without_a_limit_are_not_read(store: EventStore) -> None:
    event = rows(opened())
    await store.append_batch({event[0].slot: 0}, event, [])
    assert await store.read_streams([event[0].stream_id], {}) == []


async def test_streams_are_read_above_a_version_of_each(store: EventStore) -> None:
    one, two = islice(account_ids(7), 2)
    await store.append_batch({7: 0}, rows(busy(one, 3), busy(two, 3)), [])

    found = await store.read_streams([one, two], {7: 7}, {one: 2, uuid4(): 1})

    read = {stream: [e.version for e in found if e.stream_id == stream] for stream in (one, two)}
    assert read == {one: [3, 4], two: [1, 2, 3]}


async def test_no_command_has_an_outcome_in_an_empty_store(store: EventStore) -> None:
    assert await store.outcomes([uuid4()]) == {}
    assert await store.outcomes([]) == {}


async def test_data_and_metadata_are_kept_in_one_text_form(store: EventStore) -> None:
    event = rows(opened())[0]
    loose = '{ "reason":"a \\u00e9 \\/ \\ud834\\udd1e \\t", "b":"1", "a":"2", "a":"3" , "ccc" : ""}'
    event = event._replace(data=loose, metadata='{"command_id":"x","actor":"y"}')
    await store.append_batch({event.slot: 0}, [event], [])

    (recorded,) = await store.history(event.stream_id)

    assert recorded.data == '{"a": "3", "b": "1", "ccc": "", "reason": "a é / 𝄞 \\t"}'
    assert recorded.metadata == '{"actor": "y", "command_id": "x"}'


_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(values=st.dictionaries(_TEXT, _TEXT, max_size=5))
async def test_both_stores_keep_the_same_text(
    postgres_store: PostgresEventStore, values: dict[str, str]
) -> None:
    text = orjson.dumps(values).decode()
    event = rows(opened(next(account_ids(0))))[0]._replace(data=text, metadata=text)
    memory = InMemoryEventStore()
    head = (await postgres_store.heads())[0]
    await memory.append_batch({0: 0}, [event], [])
    await postgres_store.append_batch({0: head}, [event], [])

    (expected,) = await memory.history(event.stream_id)
    (found,) = await postgres_store.history(event.stream_id)

    assert (found.data, found.metadata) == (expected.data, expected.metadata)
    assert orjson.loads(found.data) == values


async def test_a_store_without_a_relay_has_either_published_all_or_said_nothing(
    store: EventStore,
) -> None:
    event = rows(opened(next(account_ids(3))))
    await store.append_batch({3: 0}, event, [accepted(event)])
    assert (await store.published()).get(3) in (None, 1)


@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_following_the_log_with_any_limit_meets_every_event_once(
    store: EventStore, limit: int
) -> None:
    events = [row for _ in range(20) for row in rows(busy(movements=2))]
    heads = dict.fromkeys((event.slot for event in events), 0)
    await store.append_batch(heads, events, [])
    position = dict(_EVERYTHING)
    met: list[RecordedEvent] = []

    while found := await store.read_log(position, limit):
        met += found
        position |= {event.slot: event.slot_seq for event in found}

    assert len(met) == len(events)
    assert {event.event_id for event in met} == {event.event_id for event in events}
    assert position == await store.heads()


async def test_a_history_is_read_in_pages(store: EventStore) -> None:
    account_id = next(account_ids(7))
    events = rows(busy(account_id, 4))
    await store.append_batch({7: 0}, events, [])

    versions = [event.version for event in await store.history(account_id, 1, 2)]

    assert versions == [2, 3]
    assert [event.version for event in await store.history(account_id, 3)] == [4, 5]
    assert await store.history(account_id, 5, 2) == []
