"""Ids of events that are decided together."""

import time
from datetime import UTC, datetime
from uuid import UUID

from passbook.eventstore.ids import batch_stamp


def test_stamps_of_a_batch_are_new_ids_of_version_7_at_one_moment() -> None:
    before = time.time_ns() // 1_000_000
    stamp = batch_stamp()
    made = [stamp() for _ in range(2000)]
    after = time.time_ns() // 1_000_000
    ids = [event_id for event_id, _ in made]
    assert len(set(ids)) == 2000
    assert {event_id.version for event_id in ids} == {7}
    assert {event_id.variant for event_id in ids} == {"specified in RFC 4122"}
    assert all(before <= event_id.int >> 80 <= after for event_id in ids)
    (moment,) = {moment for _, moment in made}
    assert moment.tzinfo is UTC
    assert abs(moment - datetime.now(UTC)).total_seconds() < 60


def test_the_fast_ids_are_ids() -> None:
    event_id, _ = batch_stamp()()
    assert isinstance(event_id, UUID)
    assert UUID(str(event_id)) == event_id
    assert hash(UUID(str(event_id))) == hash(event_id)


def test_random_parts_use_every_bit() -> None:
    stamp = batch_stamp()
    values = [stamp()[0].int for _ in range(500)]
    free = (1 << 80) - 1 & ~(0xF << 76) & ~(0x3 << 62)
    ever_one = ever_zero = 0
    for value in values:
        ever_one |= value
        ever_zero |= ~value
    assert ever_one & free == free
    assert ever_zero & free == free
