"""Accounts in memory that are known to be current, without a read.

A slot's cached accounts are the state at one head of that slot. Whoever appends on top of them
names that head; if the store still has it, nothing was missed, for any account of the slot. That
makes a hot account free, and a stale cache harmless: the append is refused, the slot is forgotten
here, and read again.
"""

from collections.abc import Iterable
from uuid import UUID

from passbook.domain.account import BankAccount
from passbook.domain.slots import slot_of
from passbook.eventstore.store import EventStore


class CachedAccount:
    """A place for one account, known to be at the head of its slot; `account` is None while its
    stream is empty.
    """

    __slots__ = ("account", "slot")

    def __init__(self, slot: int) -> None:
        """Start with an empty stream."""
        self.slot = slot
        self.account: BankAccount | None = None


class AccountCache:
    """Up to about `limit` accounts, the least recently used dropped first.

    `heads` has the head of each slot that the accounts are current to. It runs ahead of the store
    while an append is in flight: the caller adds what it is about to append, and calls `forget`
    for the slots of an append that failed.
    """

    def __init__(self, store: EventStore, limit: int) -> None:
        """Start empty; everything is read from `store` when it is first asked for."""
        self._store = store
        self._limit = limit
        self._accounts: dict[UUID, CachedAccount] = {}
        self.heads: dict[int, int] = {}

    def __len__(self) -> int:
        """Return how many accounts are held."""
        return len(self._accounts)

    def get(self, account_id: UUID) -> CachedAccount | None:
        """Return an account if it is held."""
        return self._accounts.get(account_id)

    async def load(self, account_ids: Iterable[UUID]) -> None:
        """Make sure that all these accounts are held, with one query for those that are not.

        Raises:
            StoreUnavailable: nothing changed.
        """
        missing = {account_id for account_id in account_ids if account_id not in self._accounts}
        if not missing:
            return
        places = {account_id: CachedAccount(slot_of(account_id)) for account_id in missing}
        if any(place.slot not in self.heads for place in places.values()):
            heads = await self._store.heads()
            for slot, head in heads.items():
                self.heads.setdefault(slot, head)
        for event in await self._store.read_streams(list(missing), self.heads):
            place = places[event.stream_id]
            if place.account is None:
                place.account = BankAccount(event.stream_id)
            place.account.apply(event.decode())
        self._accounts.update(places)

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
