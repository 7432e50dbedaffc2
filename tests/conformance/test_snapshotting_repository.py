"""The repository with snapshots over both stores: it answers like the plain one, in fewer events."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from passbook.domain.account import BankAccount
from passbook.domain.commands import Command
from passbook.domain.events import AccountEvent
from passbook.eventstore.errors import AccountNotFound, ConcurrencyError, StoreUnavailable
from passbook.eventstore.memory import InMemoryEventStore
from passbook.eventstore.repository import AccountRepository, SnapshottingAccountRepository
from passbook.eventstore.snapshots import InMemorySnapshotStore, Snapshot, SnapshotStore
from passbook.eventstore.store import EventStore
from passbook.telemetry import SNAPSHOTS_FAILED
from tests.conformance.test_snapshots import postgres_snapshots, snapshots
from tests.support.accounts import busy
from tests.unit.domain.any_history import HISTORIES_OF_OPEN_ACCOUNTS, play

__all__ = ["postgres_snapshots", "snapshots"]


class Unavailable(InMemorySnapshotStore):
    """Fails whatever it is asked."""

    async def load(self, *_: object, **__: object) -> dict[UUID, Snapshot]:
        """Fail."""
        raise StoreUnavailable

    async def save(self, _: Sequence[Snapshot]) -> None:
        """Fail."""
        raise StoreUnavailable


class Counting(InMemoryEventStore):
    """Remembers after which versions streams were loaded."""

    def __init__(self) -> None:
        """Start at nothing."""
        super().__init__()
        self.loaded_after: list[int] = []

    async def load(self, stream_id: UUID, after_version: int = 0) -> list[AccountEvent]:
        """Remember and load."""
        self.loaded_after.append(after_version)
        return await super().load(stream_id, after_version)


def _deposit(account: BankAccount, times: int) -> None:
    for _ in range(times):
        account.deposit(Decimal("1.00"))


def _state(account: BankAccount) -> tuple[object, ...]:
    return tuple(getattr(account, name) for name in BankAccount.__slots__)


async def test_an_account_is_loaded_as_the_plain_repository_loads_it(
    store: EventStore, snapshots: SnapshotStore
) -> None:
    plain = AccountRepository(store)
    repository = SnapshottingAccountRepository(store, snapshots, interval=10)
    account = busy(movements=6)
    for deposits in (0, 1, 2, 3, 30, 1):
        _deposit(account, deposits)
        await repository.save(account)
        assert account.pending_events == []
        found = await repository.get(account.id)
        assert _state(found) == _state(await plain.get(account.id)) == _state(account)
    assert [one.version for one in (await snapshots.load([account.id])).values()] == [43]


async def test_only_what_came_after_the_snapshot_is_read() -> None:
    store = Counting()
    repository = SnapshottingAccountRepository(store, InMemorySnapshotStore(store), interval=10)
    account = busy(movements=9)
    await repository.save(account)
    _deposit(account, 1)
    await repository.save(account)

    assert (await repository.get(account.id)).version == 11

    assert store.loaded_after == [10]


@pytest.mark.parametrize("versions", [[9], [9, 10], [9, 10, 25], [99]])
async def test_a_snapshot_is_taken_where_a_multiple_is_crossed_also_by_a_jump(
    store: EventStore, snapshots: SnapshotStore, versions: list[int]
) -> None:
    repository = SnapshottingAccountRepository(store, snapshots, interval=10)
    account = busy(movements=0)
    taken = []
    for version in versions:
        before = account.version
        _deposit(account, version - account.version)
        await repository.save(account)
        if before // 10 < version // 10:
            taken.append(version)
        found = await snapshots.load([account.id])
        assert [one.version for one in found.values()] == taken[-1:]


async def test_an_account_without_events_is_not_found(
    store: EventStore, snapshots: SnapshotStore
) -> None:
    with pytest.raises(AccountNotFound):
        await SnapshottingAccountRepository(store, snapshots).get(uuid4())


async def test_a_save_that_came_too_late_leaves_no_snapshot(
    store: EventStore, snapshots: SnapshotStore
) -> None:
    """Seen to fail: with the snapshot taken before the append, on the store in memory; PostgreSQL
    had refused it by itself until it came to a version that the other one stored.
    """
    repository = SnapshottingAccountRepository(store, snapshots, interval=10)
    await repository.save(account := busy(movements=8))
    late = await repository.get(account.id)
    _deposit(account, 1)
    await repository.save(account)
    late.withdraw(Decimal("50.00"))

    with pytest.raises(ConcurrencyError):
        await repository.save(late)

    assert (await snapshots.load([account.id]))[account.id].restore().balance == Decimal("109.00")
    assert len(late.pending_events) == 1


async def test_snapshots_that_fail_fail_nobody(store: EventStore) -> None:
    """Seen to fail: with the call of the snapshot store in `save` or `get` left bare."""
    repository = SnapshottingAccountRepository(store, Unavailable(), interval=2)
    before = SNAPSHOTS_FAILED._value.get()
    account = busy(movements=4)
    await repository.save(account)
    assert _state(await repository.get(account.id)) == _state(account)
    assert SNAPSHOTS_FAILED._value.get() == before + 2


def test_an_interval_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="every 0 versions"):
        SnapshottingAccountRepository(InMemoryEventStore(), InMemorySnapshotStore(), interval=0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(HISTORIES_OF_OPEN_ACCOUNTS, st.integers(1, 7), st.integers(1, 5))
async def test_any_history_is_loaded_as_its_full_replay(
    store: EventStore,
    snapshots: SnapshotStore,
    commands: list[Command],
    interval: int,
    at_once: int,
) -> None:
    """Saved in portions of any size, with a snapshot as often as you like."""
    repository = SnapshottingAccountRepository(store, snapshots, interval)
    _, events = play(commands)
    account_id = uuid4()
    account = BankAccount(account_id)
    for start in range(0, len(events), at_once):
        for event in events[start : start + at_once]:
            account._happen(replace(event, account_id=account_id, event_id=uuid4()))
        await repository.save(account)
        assert _state(await repository.get(account_id)) == _state(account)
    if events:
        plain = await AccountRepository(store).get(account_id)
        assert _state(plain) == _state(account)
        taken = [one.version for one in (await snapshots.load([account_id])).values()]
        assert taken == [] if account.version < interval else taken[0] > account.version - interval
