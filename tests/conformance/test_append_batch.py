"""Appending events of many streams together with the outcomes that caused them."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import uuid4

import pytest

from passbook.eventstore.errors import (
    BrokenInvariant,
    ConcurrencyError,
    DuplicateCommand,
    SlotMoved,
)
from passbook.eventstore.store import EventStore
from tests.support.accounts import MOMENT, accepted, account_ids, busy, opened, rejected, rows


async def _nothing_appended(store: EventStore) -> None:
    assert set((await store.heads()).values()) == {0}
    assert await store.read_log(dict.fromkeys(range(64), 0), 100) == []


async def test_invariant_3_numbers_of_a_slot_are_gapless_in_the_order_given(
    store: EventStore,
) -> None:
    """Events of three accounts, shuffled over two slots, are numbered as they were given.

    Seen to fail: with `ORDER BY e.version` instead of the place in `eventstore.append`.
    """
    one, two = (busy(account_id, 2) for account_id in islice(account_ids(7), 2))
    other = busy(next(account_ids(9)), 2)
    first, second, third = rows(one), rows(two), rows(other)
    events = [row for place in zip(second, third, first, strict=True) for row in place]

    await store.append_batch({7: 0, 9: 0}, events, [])

    recorded = await store.read_slot(7, 0, 100)
    assert [event.slot_seq for event in recorded] == [1, 2, 3, 4, 5, 6]
    assert [event.event_id for event in recorded] == [e.event_id for e in events if e.slot == 7]
    assert [event.slot_seq for event in await store.read_slot(9, 0, 100)] == [1, 2, 3]
    heads = await store.heads()
    assert (heads[7], heads[9], len(heads), sum(heads.values())) == (6, 3, 64, 9)


async def test_the_next_batch_goes_on_where_the_slot_ended(store: EventStore) -> None:
    for head in range(3):
        event = rows(opened(next(account_ids(5))))
        await store.append_batch({5: head}, event, [accepted(event)])
    assert [event.slot_seq for event in await store.read_slot(5, 0, 100)] == [1, 2, 3]


async def test_outcomes_come_back_as_they_were_given(store: EventStore) -> None:
    events = rows(busy(movements=1))
    yes = accepted(events)
    no = rejected(uuid4())
    nobody = rejected(None)._replace(error_code="malformed", error_message="value: “none” ✓")

    await store.append_batch({events[0].slot: 0}, events, [yes, no, nobody])

    found = await store.outcomes([yes.command_id, no.command_id, nobody.command_id, uuid4()])
    assert found == {yes.command_id: yes, no.command_id: no, nobody.command_id: nobody}
    assert isinstance(found[yes.command_id].event_ids, tuple)


async def test_outcomes_without_events_need_no_slot(store: EventStore) -> None:
    outcome = rejected(uuid4())
    await store.append_batch({}, [], [outcome])
    assert await store.outcomes([outcome.command_id]) == {outcome.command_id: outcome}
    await _nothing_appended(store)


async def test_a_slot_that_moved_is_refused_as_a_whole(store: EventStore) -> None:
    await store.append_batch({5: 0}, rows(opened(next(account_ids(5)))), [])
    late = rows(opened(next(account_ids(5))), opened(next(account_ids(6))))
    outcome = accepted(late[:1])

    with pytest.raises(SlotMoved) as refusal:
        await store.append_batch({6: 0, 5: 0}, late, [outcome])

    assert refusal.value.detail == "slot 5: expected head 0, found 1"
    assert await store.read_slot(6, 0, 10) == []
    assert await store.outcomes([outcome.command_id]) == {}


async def test_a_slot_that_is_behind_what_was_expected_is_refused_too(store: EventStore) -> None:
    with pytest.raises(SlotMoved, match="slot 5: expected head 3, found 0"):
        await store.append_batch({5: 3}, rows(opened(next(account_ids(5)))), [])
    await _nothing_appended(store)


async def test_invariant_2_a_command_id_that_was_decided_is_refused_as_a_whole(
    store: EventStore,
) -> None:
    """The second batch with the same command id changes nothing, neither events nor outcomes.

    Seen to fail: with `ON CONFLICT DO NOTHING` on the insert of outcomes in `eventstore.append`.
    """
    outcome = rejected(uuid4())
    await store.append_batch({}, [], [outcome])
    events = rows(opened())
    again, other = accepted(events, outcome.command_id), rejected(uuid4())

    with pytest.raises(DuplicateCommand):
        await store.append_batch({events[0].slot: 0}, events, [other, again])

    await _nothing_appended(store)
    found = await store.outcomes([outcome.command_id, other.command_id])
    assert found == {outcome.command_id: outcome}


async def test_the_same_command_id_twice_in_one_batch_is_refused(store: EventStore) -> None:
    outcome = rejected(uuid4())
    with pytest.raises(DuplicateCommand):
        await store.append_batch({}, [], [outcome, outcome])
    assert await store.outcomes([outcome.command_id]) == {}


async def test_a_moved_slot_is_reported_before_a_duplicate_command(store: EventStore) -> None:
    outcome = rejected(uuid4())
    await store.append_batch({5: 0}, rows(opened(next(account_ids(5)))), [outcome])
    with pytest.raises(SlotMoved):
        await store.append_batch({5: 0}, [], [outcome])


async def test_a_version_that_exists_is_a_bug_of_the_caller(store: EventStore) -> None:
    events = rows(opened())
    slot = events[0].slot
    await store.append_batch({slot: 0}, events, [])

    with pytest.raises(BrokenInvariant) as refusal:
        await store.append_batch({slot: 1}, rows(opened(events[0].stream_id)), [])

    assert not isinstance(refusal.value, ConcurrencyError)
    assert (await store.heads())[slot] == 1


async def test_the_same_version_twice_in_one_batch_is_a_bug_of_the_caller(
    store: EventStore,
) -> None:
    event = rows(opened())
    with pytest.raises(BrokenInvariant):
        await store.append_batch({event[0].slot: 0}, event * 2, [])
    await _nothing_appended(store)


async def test_an_event_in_a_slot_that_was_not_named_is_a_bug_of_the_caller(
    store: EventStore,
) -> None:
    events = rows(opened(next(account_ids(1))), opened(next(account_ids(2))))
    with pytest.raises(BrokenInvariant):
        await store.append_batch({1: 0}, events, [accepted(events[:1])])
    await _nothing_appended(store)


@pytest.mark.parametrize(
    ("code", "message", "kept_events"),
    [("malformed", None, 0), (None, "no", 0), ("malformed", "no", 1)],
    ids=["a code without a message", "a message without a code", "refused with events"],
)
async def test_an_outcome_that_contradicts_itself_is_a_bug_of_the_caller(
    store: EventStore, code: str | None, message: str | None, kept_events: int
) -> None:
    events = rows(opened())
    outcome = accepted(events)._replace(error_code=code, error_message=message)
    outcome = outcome._replace(event_ids=outcome.event_ids[:kept_events])
    with pytest.raises(BrokenInvariant):
        await store.append_batch({events[0].slot: 0}, events, [outcome])
    await _nothing_appended(store)


async def test_recording_times_never_run_backwards_inside_a_slot(store: EventStore) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    for head in range(5):
        await store.append_batch({5: head}, rows(opened(next(account_ids(5)))), [])

    times = [event.recorded_at for event in await store.read_slot(5, 0, 10)]

    assert times == sorted(times)
    assert before < times[0]
    assert times[-1] < datetime.now(UTC) + timedelta(minutes=1)


async def test_events_of_one_batch_and_slot_have_one_recording_time(store: EventStore) -> None:
    events = rows(*(opened(account_id) for account_id in islice(account_ids(5), 3)))
    await store.append_batch({5: 0}, events, [])
    assert len({event.recorded_at for event in await store.read_slot(5, 0, 10)}) == 1


async def test_occurred_at_keeps_its_microseconds(store: EventStore) -> None:
    event = rows(opened())[0]._replace(occurred_at=MOMENT)
    await store.append_batch({event.slot: 0}, [event], [])
    assert (await store.history(event.stream_id))[0].occurred_at == MOMENT
