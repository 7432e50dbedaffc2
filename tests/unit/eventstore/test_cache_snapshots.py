"""Cold accounts in the cache: a snapshot and the rest, both up to the head that is remembered."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import islice
from uuid import UUID

import pytest

from passbook.domain.account import BankAccount
from passbook.eventstore import cache as cache_module
from passbook.eventstore.cache import AccountCache
from passbook.eventstore.errors import LogIncomplete, StoreUnavailable
from passbook.eventstore.memory import InMemoryEventStore
from passbook.eventstore.snapshots import InMemorySnapshotStore, Snapshot
from passbook.eventstore.store import RecordedEvent
from tests.support.accounts import account_ids, busy, opened


class CountingStore(InMemoryEventStore):
    """Remembers which versions of streams were handed out."""

    def __init__(self) -> None:
        """Start with none."""
        super().__init__()
        self.read: list[int] = []

    async def read_streams(
        self,
        stream_ids: Sequence[UUID],
        up_to: Mapping[int, int],
        after: Mapping[UUID, int] | None = None,
    ) -> list[RecordedEvent]:
        """Remember and read."""
        found = await super().read_streams(stream_ids, up_to, after)
        self.read += [event.version for event in found]
        return found


class Failing(InMemorySnapshotStore):
    """Fails, and counts how often it was asked."""

    asked = 0

    async def load(self, *_: object, **__: object) -> dict[UUID, Snapshot]:
        """Count and fail."""
        self.asked += 1
        raise StoreUnavailable


@pytest.fixture
def store() -> CountingStore:
    """Give an empty store."""
    return CountingStore()


async def _stored(store: InMemoryEventStore, account: BankAccount) -> list[BankAccount]:
    """Append what is pending; return the account as it was at each version."""
    events = list(account.pending_events)
    await store.append(account.id, events, events[0].version - 1)
    account.clear_pending()
    return [
        BankAccount.replay(account.id, events[:version]) for version in range(1, len(events) + 1)
    ]


def _account(cache: AccountCache, account_id: UUID) -> BankAccount:
    place = cache.get(account_id)
    assert place is not None
    assert place.account is not None
    return place.account


async def test_only_what_came_after_the_snapshot_is_read(store: CountingStore) -> None:
    account = busy(movements=5)
    states = await _stored(store, account)
    snapshots = InMemorySnapshotStore(store)
    await snapshots.save([Snapshot.of(states[3])])
    cache = AccountCache(store, 10, snapshots)

    await cache.load([account.id])

    assert store.read == [5, 6]
    assert Snapshot.of(_account(cache, account.id)) == Snapshot.of(account)


async def test_a_snapshot_of_what_came_after_the_remembered_head_is_not_used(
    store: CountingStore,
) -> None:
    """The account must be as old as its neighbours; the append on top of it will be refused.

    Seen to fail: with a load that does not hand over the heads.
    """
    first, second = (opened(account_id) for account_id in islice(account_ids(5), 2))
    await _stored(store, first)
    await _stored(store, second)
    snapshots = InMemorySnapshotStore(store)
    cache = AccountCache(store, 10, snapshots)
    await cache.load([first.id])
    for _ in range(3):
        second.deposit(Decimal("1.00"))
    await _stored(store, second)
    await snapshots.save([Snapshot.of(second)])

    await cache.load([second.id])

    assert _account(cache, second.id).version == 1
    cache.forget([5])
    await cache.load([second.id])
    assert _account(cache, second.id).version == 4


async def test_snapshots_that_fail_are_left_alone_for_a_while(
    store: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for an answer must not pay for every account in turn.

    Seen to fail: without the pause, with two questions.
    """
    accounts = [busy(movements=1) for _ in range(3)]
    for account in accounts:
        await _stored(store, account)
    snapshots = Failing()
    cache = AccountCache(store, 10, snapshots)
    await cache.load([accounts[0].id])
    await cache.load([accounts[1].id])
    assert snapshots.asked == 1
    assert _account(cache, accounts[1].id).version == 2

    monkeypatch.setattr(cache_module, "_WITHOUT_SNAPSHOTS_S", 0.0)
    again = AccountCache(store, 10, snapshots)
    await again.load([accounts[0].id])
    await again.load([accounts[2].id])
    assert snapshots.asked == 3


async def test_a_snapshot_is_due_at_the_next_multiple_after_the_newest_one(
    store: CountingStore,
) -> None:
    with_one, without = busy(movements=24), busy(movements=24)
    states = await _stored(store, with_one)
    await _stored(store, without)
    snapshots = InMemorySnapshotStore(store)
    await snapshots.save([Snapshot.of(states[19])])
    cache = AccountCache(store, 10, snapshots, interval=10)
    await cache.load([with_one.id, without.id])

    place, late = cache.get(with_one.id), cache.get(without.id)

    assert place is not None
    assert late is not None
    assert (place.snapshot_due, late.snapshot_due) == (30, 10)
    assert cache.snapshot(late).version == 25
    assert late.snapshot_due == 30


class Incomplete(InMemoryEventStore):
    """Cannot find the events of one account, as when a file of the archive is missing."""

    def __init__(self, lost: UUID) -> None:
        """Lose the events of one account."""
        super().__init__()
        self._lost = lost

    async def read_streams(
        self,
        stream_ids: Sequence[UUID],
        up_to: Mapping[int, int],
        after: Mapping[UUID, int] | None = None,
    ) -> list[RecordedEvent]:
        """Read, or say that something is missing."""
        if self._lost in stream_ids and not (after or {}).get(self._lost):
            message = "segment 7 is missing"
            raise LogIncomplete(message)
        return await super().read_streams(stream_ids, up_to, after)


async def test_an_account_whose_events_are_missing_does_not_keep_the_others_from_being_read() -> (
    None
):
    """It is unreadable until its events are back, or a snapshot covers what is missing.

    Seen to fail: without the second look, account by account.
    """
    lost, other = busy(movements=2), busy(movements=2)
    store = Incomplete(lost.id)
    states = await _stored(store, lost)
    await _stored(store, other)
    snapshots = InMemorySnapshotStore(store)
    cache = AccountCache(store, 10, snapshots)

    unreadable = await cache.load([lost.id, other.id])
    assert {account_id: str(error) for account_id, error in unreadable.items()} == {
        lost.id: "segment 7 is missing"
    }
    assert _account(cache, other.id).version == 3
    assert cache.get(lost.id) is None

    await snapshots.save([Snapshot.of(states[1])])
    assert await cache.load([lost.id]) == {}
    assert _account(cache, lost.id).version == 3


async def test_an_unreadable_event_behind_a_snapshot_makes_the_account_unreadable(
    store: CountingStore,
) -> None:
    account = busy(movements=3)
    states = await _stored(store, account)
    snapshots = InMemorySnapshotStore(store)
    await snapshots.save([Snapshot.of(states[1])])
    store._streams[account.id][3] = store._streams[account.id][3]._replace(schema_version=99)
    cache = AccountCache(store, 10, snapshots)

    unreadable = await cache.load([account.id])

    assert list(unreadable) == [account.id]
    assert cache.get(account.id) is None
