"""What only the store in memory can be shown to do: its clock can be set."""

from datetime import UTC, datetime, timedelta

import pytest

from passbook.eventstore import memory
from passbook.eventstore.memory import InMemoryEventStore
from tests.support.accounts import account_ids, opened, rows


async def test_recording_times_stand_still_rather_than_run_backwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)

    class Clock:
        moment = noon

        @classmethod
        def now(cls, zone: object) -> datetime:
            assert zone is UTC
            return cls.moment

    monkeypatch.setattr(memory, "datetime", Clock)
    store = InMemoryEventStore()
    await store.append_batch({5: 0}, rows(opened(next(account_ids(5)))), [])
    Clock.moment = noon - timedelta(hours=1)
    await store.append_batch({5: 1}, rows(opened(next(account_ids(5)))), [])
    await store.append_batch({6: 0}, rows(opened(next(account_ids(6)))), [])
    assert [event.recorded_at for event in await store.read_slot(5, 0, 9)] == [noon, noon]
    assert [event.recorded_at for event in await store.read_slot(6, 0, 9)] == [Clock.moment]
