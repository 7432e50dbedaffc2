"""States of the past, and the order of streams, over both stores."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import islice
from uuid import UUID, uuid4

import pytest

from passbook.eventstore.errors import AccountNotFound, MomentNotPast
from passbook.eventstore.past import (
    account_at,
    account_at_version,
    accounts_at,
    recorded_until,
)
from passbook.eventstore.repository import AccountRepository
from passbook.eventstore.store import EventStore
from tests.support.accounts import account_ids, busy, opened, rows

TICK = timedelta(microseconds=1)


async def _times(store: EventStore, account_id: UUID) -> list[datetime]:
    return [event.recorded_at for event in await store.history(account_id)]


async def test_streams_are_listed_by_their_ids_in_portions(store: EventStore) -> None:
    ids = sorted(uuid4() for _ in range(5))
    for account_id in reversed(ids):
        await AccountRepository(store).save(busy(account_id))
    assert await store.streams(None, 3) == ids[:3]
    assert await store.streams(ids[2], 3) == ids[3:]
    assert await store.streams(ids[4], 3) == []
    assert await store.streams(UUID(int=0), 1) == ids[:1]


async def test_account_is_told_as_it_was_at_the_very_moment_of_each_event(
    store: EventStore,
) -> None:
    accounts = AccountRepository(store)
    account = opened(deposit="100.00")
    await accounts.save(account)
    account.deposit(Decimal("20.00"))
    await accounts.save(account)
    first, second = await _times(store, account.id)
    before, at, after = [
        await account_at(store, account.id, moment) for moment in (first - TICK, first, second)
    ]
    assert before is None
    assert at is not None
    assert (at.account.balance, at.account.version, at.recorded_at) == (Decimal(100), 1, first)
    assert after is not None
    assert (after.account.balance, after.account.version) == (Decimal(120), 2)
    assert after.recorded_at == second


async def test_account_is_told_as_it_was_at_a_version(store: EventStore) -> None:
    account = busy(movements=2)
    await AccountRepository(store).save(account)
    states = [await account_at_version(store, account.id, version) for version in (1, 3, None)]
    assert [state and state.account.version for state in states] == [1, 3, 3]
    assert await account_at_version(store, account.id, 4) is None
    assert await account_at_version(store, account.id, 0) is None
    with pytest.raises(AccountNotFound):
        await account_at_version(store, uuid4(), 1)


async def test_accounts_that_were_open_by_a_moment_are_listed_in_pages(store: EventStore) -> None:
    """More accounts than are read at a time, half of them opened too late."""
    accounts = AccountRepository(store)
    early = sorted(uuid4() for _ in range(30))
    for account_id in early:
        await accounts.save(busy(account_id, movements=1))
    moment = max([(await _times(store, account_id))[-1] for account_id in early])
    for account_id in early[::3]:
        account = await accounts.get(account_id)
        account.freeze("court order")
        await accounts.save(account)
    for _ in range(30):
        await accounts.save(opened())

    found: list[UUID] = []
    after: UUID | None = None
    pages = 0
    while page := await accounts_at(store, moment, 12, after):
        assert all(state.account.version == 2 for state in page)
        assert all(state.account.status.value == "active" for state in page)
        found += [state.account.id for state in page]
        after, pages = found[-1], pages + 1
    assert found == early
    assert pages == 3


async def test_moment_is_the_same_in_every_time_zone(store: EventStore) -> None:
    account = opened()
    await AccountRepository(store).save(account)
    (recorded,) = await _times(store, account.id)
    for hours in (-12, 0, 5.5, 14):
        zone = timezone(timedelta(hours=hours))
        assert await account_at(store, account.id, recorded.astimezone(zone)) is not None
        assert await account_at(store, account.id, (recorded - TICK).astimezone(zone)) is None
    with pytest.raises(ValueError, match="no time zone"):
        await account_at(store, account.id, recorded.replace(tzinfo=None))
    with pytest.raises(ValueError, match="no time zone"):
        await accounts_at(store, recorded.replace(tzinfo=None), 1)


@pytest.mark.parametrize(
    "moment",
    [
        datetime.max.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=5))),
    ],
    ids=["last", "last and west", "last and east"],
)
async def test_end_of_all_years_is_refused_as_future(store: EventStore, moment: datetime) -> None:
    with pytest.raises(MomentNotPast, match=r"9999-12-31.* is in the future: the event store"):
        await account_at(store, uuid4(), moment)
    with pytest.raises(MomentNotPast):
        await accounts_at(store, moment, 1)


@pytest.mark.parametrize("hours", [0, 5, -5])
async def test_beginning_of_all_years_is_before_everything(store: EventStore, hours: int) -> None:
    moment = datetime.min.replace(tzinfo=timezone(timedelta(hours=hours)))
    account = opened()
    assert await account_at(store, account.id, moment) is None
    await AccountRepository(store).save(account)
    assert await account_at(store, account.id, moment) is None
    assert await accounts_at(store, moment, 10) == []


async def test_what_is_recorded_after_an_answer_is_later_than_its_moment(
    store: EventStore,
) -> None:
    (account_id,) = islice(account_ids(7), 1)
    moment = datetime.now(UTC) - timedelta(milliseconds=1)
    assert await recorded_until(store, account_id, moment) == []
    await store.append_batch({7: 0}, rows(busy(account_id)), [])
    assert _all_after(moment, await _times(store, account_id))
    assert await recorded_until(store, account_id, moment) == []


def _all_after(moment: datetime, times: Sequence[datetime]) -> bool:
    return bool(times) and all(time > moment for time in times)
