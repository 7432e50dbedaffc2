"""Accounts in memory that are known to be current, without a read.

A slot's cached accounts are the state at one head of that slot. Whoever appends on top of them
names that head; if the store still has it, nothing was missed, for any account of the slot. That
makes a hot account free, and a stale cache harmless: the append is refused, the slot is forgotten
here, and read again.

A cold account is its newest snapshot and the events after that. A snapshot of a later state than
the head is not used: what is folded here is always the log up to one number of its slot.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final
from uuid import UUID

from passbook.domain.account import BankAccount
from passbook.domain.slots import slot_of
from passbook.eventstore.errors import LogIncomplete
from passbook.eventstore.snapshots import INTERVAL, Snapshot, SnapshotStore, load_if_possible
from passbook.eventstore.store import EventStore, RecordedEvent

_UNREADABLE: Final = (ValueError, KeyError)
"""What `RecordedEvent.decode` raises: this code is too old for an event, or the event is damaged."""

_WITHOUT_SNAPSHOTS_S: Final = 5.0
"""For so long nothing is asked of snapshots that failed: replaying is slower, waiting is worse."""


class CachedAccount:
    """A place for one account, known to be at the head of its slot; `account` is None while its
    stream is empty. When the account's version reaches `snapshot_due`, a snapshot is due.
    """

    __slots__ = ("account", "slot", "snapshot_due")

    def __init__(self, slot: int, snapshot_due: int) -> None:
        """Start with an empty stream."""
        self.slot = slot
        self.snapshot_due = snapshot_due
        self.account: BankAccount | None = None


class AccountCache:
    """Up to about `limit` accounts, the least recently used dropped first.

    `heads` has the head of each slot that the accounts are current to. It runs ahead of the store
    while an append is in flight: the caller adds what it is about to append, and calls `forget`
    for the slots of an append that failed.
    """

    def __init__(
        self,
        store: EventStore,
        limit: int,
        snapshots: SnapshotStore | None = None,
        *,
        interval: int = INTERVAL,
    ) -> None:
        """Start empty; everything is read when it is first asked for, from `snapshots` and `store`.

        A snapshot is due every `interval` versions.
        """
        self._store = store
        self._limit = limit
        self._snapshots = snapshots
        self._snapshots_from = 0.0
        self._interval = interval
        self._accounts: dict[UUID, CachedAccount] = {}
        self.heads: dict[int, int] = {}

    def __len__(self) -> int:
        """Return how many accounts are held."""
        return len(self._accounts)

    def get(self, account_id: UUID) -> CachedAccount | None:
        """Return an account if it is held."""
        return self._accounts.get(account_id)

    async def load(self, account_ids: Iterable[UUID]) -> dict[UUID, Exception]:
        """Make sure that all these accounts are held, except those that this code cannot read;
        return why not (account → `LogIncomplete`, or what `RecordedEvent.decode` raises).

        Raises:
            StoreUnavailable: nothing changed.
        """
        missing = {account_id for account_id in account_ids if account_id not in self._accounts}
        if not missing:
            return {}
        places = {
            account_id: CachedAccount(slot_of(account_id), self._interval) for account_id in missing
        }
        if any(place.slot not in self.heads for place in places.values()):
            heads = await self._store.heads()
            for slot, head in heads.items():
                self.heads.setdefault(slot, head)
        wanted = list(missing)
        snapshots = await self._newest_snapshots(wanted)
        after = {account_id: snapshot.version for account_id, snapshot in snapshots.items()}
        events, incomplete = await self._read(wanted, after)
        unreadable = incomplete | _fold(places, snapshots, events)
        for account_id in unreadable:
            del places[account_id]
        for account_id, version in after.items():
            if account_id in places:
                places[account_id].snapshot_due = self._next_due(version)
        self._accounts.update(places)
        return unreadable

    def snapshot(self, place: CachedAccount) -> Snapshot:
        """Return the state of a held account; the next snapshot is due an interval later."""
        assert place.account is not None, "an empty stream has no state"
        place.snapshot_due = self._next_due(place.account.version)
        return Snapshot.of(place.account)

    def touch(self, account_id: UUID) -> CachedAccount:
        """Return a held account and mark it as used just now."""
        place = self._accounts.pop(account_id)
        self._accounts[account_id] = place
        return place

    def forget(self, slots: Iterable[int]) -> None:
        """Drop everything known about some slots, so that it is read again."""
        gone = set(slots)
        for slot in gone:
            self.heads.pop(slot, None)
        self._accounts = {
            account_id: place
            for account_id, place in self._accounts.items()
            if place.slot not in gone
        }

    def shrink(self) -> None:
        """Drop the least recently used accounts over the limit.

        The limit must be above what appends in flight have touched: the store does not have the
        newest events of those accounts yet, so they must not be dropped and read again.
        """
        excess = len(self._accounts) - self._limit
        if excess > 0:
            for account_id in list(self._accounts)[:excess]:
                del self._accounts[account_id]

    def _next_due(self, version: int) -> int:
        return (version // self._interval + 1) * self._interval

    async def _read(
        self, account_ids: Sequence[UUID], after: Mapping[UUID, int]
    ) -> tuple[list[RecordedEvent], dict[UUID, Exception]]:
        """Read the events of accounts; those whose events are not all to be had are told apart from
        the others, which costs a query each and is rare.
        """
        with suppress(LogIncomplete):
            return await self._store.read_streams(account_ids, self.heads, after), {}
        events: list[RecordedEvent] = []
        incomplete: dict[UUID, Exception] = {}
        for account_id in account_ids:
            try:
                events += await self._store.read_streams([account_id], self.heads, after)
            except LogIncomplete as error:
                incomplete[account_id] = error
        return events, incomplete

    async def _newest_snapshots(self, account_ids: Sequence[UUID]) -> dict[UUID, Snapshot]:
        if self._snapshots is None or time.monotonic() < self._snapshots_from:
            return {}
        found = await load_if_possible(self._snapshots, account_ids, self.heads)
        if found is None:
            self._snapshots_from = time.monotonic() + _WITHOUT_SNAPSHOTS_S
        return found or {}


def _fold(
    places: dict[UUID, CachedAccount],
    snapshots: dict[UUID, Snapshot],
    events: Iterable[RecordedEvent],
) -> dict[UUID, Exception]:
    """Bring accounts to their places; return those with an event that cannot be read."""
    unreadable: dict[UUID, Exception] = {}
    for account_id, snapshot in snapshots.items():
        places[account_id].account = snapshot.restore()
    for event in events:
        place = places[event.stream_id]
        if place.account is None:
            place.account = BankAccount(event.stream_id)
        try:
            place.account.apply(event.decode())
        except _UNREADABLE as error:
            unreadable.setdefault(event.stream_id, error)
    return unreadable
