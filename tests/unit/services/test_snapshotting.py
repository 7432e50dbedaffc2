"""Snapshots of the command service: which are taken, when they are handed over, who writes them."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from uuid import uuid4

import pytest

from passbook.domain.account import BankAccount
from passbook.eventstore.errors import StoreUnavailable
from passbook.eventstore.repository import AccountRepository
from passbook.eventstore.snapshots import InMemorySnapshotStore, Snapshot
from passbook.telemetry import SNAPSHOTS_DROPPED, SNAPSHOTS_FAILED
from services.command_service import snapshotting
from services.command_service.snapshotting import SnapshotWriter
from tests.support.accounts import busy
from tests.support.messages import Message
from tests.support.until import until
from tests.unit.services.deciding import Bank, ask


def _deposits(account_id: object, count: int) -> list[Message]:
    return [ask("DepositMoney", account_id, amount="1.00") for _ in range(count)]


def _versions(bank: Bank) -> list[list[int]]:
    return [[snapshot.version for snapshot in some] for some in bank.kept]


async def test_one_snapshot_is_taken_where_a_batch_reaches_or_jumps_over_a_multiple() -> None:
    """A batch that crosses several leaves the newest of them."""
    account = uuid4()
    bank = Bank(
        [ask("OpenAccount", account), *_deposits(account, 8)],
        _deposits(account, 1),
        _deposits(account, 9),
        _deposits(account, 25),
        interval=10,
    )
    async with bank.running():
        await bank.answered(44)

    assert _versions(bank) == [[10], [40]]
    events = await bank.store.load(account)
    for (snapshot,) in bank.kept:
        expected = BankAccount.replay(account, events[: snapshot.version])
        assert snapshot == Snapshot.of(expected)


async def test_snapshots_are_handed_over_when_their_events_are_stored_and_not_before() -> None:
    """Seen to fail: with the hand-over in `_decide`."""
    account = uuid4()
    bank = Bank([ask("OpenAccount", account), *_deposits(account, 9)], interval=10)
    bank.store.gate.clear()
    async with bank.running():
        await until(lambda: bank.store.waiting)
        assert bank.kept == []
        bank.store.gate.set()
        await bank.answered(10)
    assert _versions(bank) == [[10]]


async def test_nothing_is_kept_of_an_append_that_failed() -> None:
    account = uuid4()
    bank = Bank([ask("OpenAccount", account), *_deposits(account, 9)], interval=10)
    bank.store.failure = StoreUnavailable("gone")
    with pytest.raises(StoreUnavailable):
        await bank.service.run(asyncio.Event())
    assert bank.kept == []


async def test_what_is_decided_again_is_kept_as_it_was_stored() -> None:
    """Somebody else appends to the account first: the state of the first decision never was."""
    account = uuid4()
    bank = Bank([ask("OpenAccount", account), *_deposits(account, 7)], interval=10)
    async with bank.running():
        await bank.answered(8)
        bank.store.gate.clear()
        bank.consumer.arrive(*_deposits(account, 3))
        await until(lambda: bank.store.waiting)
        other = await AccountRepository(bank.store).get(account)
        other.withdraw(Decimal("50.00"))
        await AccountRepository(bank.store).save(other)
        bank.store.gate.set()
        await bank.answered(11)
    events = await bank.store.load(account)
    assert len(events) == 12
    assert [one for some in bank.kept for one in some] == [
        Snapshot.of(BankAccount.replay(account, events[:10]))
    ]


async def test_a_cold_account_is_its_snapshot_and_what_came_after() -> None:
    """Shown with a snapshot that says something else than the events: it is the one believed, and
    what came after it is added.
    """
    bank = Bank()
    account = busy(movements=4)
    await bank.store.append(account.id, account.pending_events, 0)
    other = BankAccount.replay(account.id, account.pending_events[:4])
    other.balance = Decimal("1000.00")
    await bank.snapshots.save([Snapshot.of(other)])
    async with bank.running():
        bank.consumer.arrive(ask("WithdrawMoney", account.id, amount="1001.01"))
        bank.consumer.arrive(ask("WithdrawMoney", account.id, amount="1001.00"))
        assert await bank.answered(2) == ["insufficient_funds", "accepted"]


async def test_a_long_history_without_a_snapshot_gets_one_with_its_next_event() -> None:
    """As after a new fold version, or when snapshots were dropped."""
    bank = Bank(interval=10)
    account = busy(movements=24)
    await bank.store.append(account.id, account.pending_events, 0)
    async with bank.running():
        bank.consumer.arrive(*_deposits(account.id, 1))
        bank.consumer.arrive(*_deposits(account.id, 4))
        await bank.answered(5)
    assert _versions(bank) == [[26], [30]]


class Slow(InMemorySnapshotStore):
    """Waits for its gate before it saves, and fails when told to."""

    def __init__(self) -> None:
        """Start with a closed gate."""
        super().__init__()
        self.gate = asyncio.Event()
        self.fail = False
        self.calls: list[int] = []

    async def save(self, snapshots: Sequence[Snapshot]) -> None:
        """Wait, then save or fail."""
        self.calls.append(len(snapshots))
        await self.gate.wait()
        if self.fail:
            raise StoreUnavailable
        await super().save(snapshots)


def _snapshots(count: int) -> list[Snapshot]:
    return [Snapshot.of(busy(movements=0)) for _ in range(count)]


async def test_what_waits_at_the_end_is_written_first() -> None:
    store, some = Slow(), _snapshots(3)
    async with SnapshotWriter(store) as writer:
        writer.offer(some[:1])
        await until(lambda: store.calls)
        writer.offer(some[1:])
        store.gate.set()
    assert len(await store.load([one.stream_id for one in some])) == 3
    assert store.calls == [1, 2]


async def test_a_full_queue_drops_and_counts_and_never_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seen to fail: without the bound."""
    monkeypatch.setattr(snapshotting, "_MOST_WAITING", 5)
    before = SNAPSHOTS_DROPPED._value.get()
    store = Slow()
    async with SnapshotWriter(store) as writer:
        writer.offer(_snapshots(4))
        writer.offer(_snapshots(4))
        assert SNAPSHOTS_DROPPED._value.get() == before + 3
        store.gate.set()
    assert sum(store.calls) == 5


async def test_a_failure_is_counted_and_the_next_ones_are_written() -> None:
    store, later, before = Slow(), _snapshots(1), SNAPSHOTS_FAILED._value.get()
    store.gate.set()
    async with SnapshotWriter(store) as writer:
        store.fail = True
        writer.offer(_snapshots(2))
        await until(lambda: SNAPSHOTS_FAILED._value.get() == before + 1)
        store.fail = False
        writer.offer(later)
    assert len(await store.load([later[0].stream_id])) == 1


async def test_the_end_does_not_wait_for_a_database_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshotting, "_STOP_TIMEOUT_S", 0.05)
    async with asyncio.timeout(5), SnapshotWriter(Slow()) as writer:
        writer.offer(_snapshots(1))


async def test_nothing_to_write_is_a_quick_end() -> None:
    async with asyncio.timeout(1), SnapshotWriter(Slow()):
        pass
