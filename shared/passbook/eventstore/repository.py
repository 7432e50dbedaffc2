"""Accounts as objects: load one, change it, save it, with optimistic concurrency."""

from uuid import UUID

from passbook.domain.account import BankAccount
from passbook.eventstore.errors import AccountNotFound
from passbook.eventstore.snapshots import (
    INTERVAL,
    Snapshot,
    SnapshotStore,
    is_due,
    load_if_possible,
    save_if_possible,
)
from passbook.eventstore.store import EventStore


class AccountRepository:
    """Loads accounts by replaying their stream and saves what happened to them since."""

    def __init__(self, store: EventStore) -> None:
        """Use any `EventStore`."""
        self._store = store

    async def get(self, account_id: UUID) -> BankAccount:
        """Return the account as its events tell.

        Raises:
            AccountNotFound: it has none.
            UnknownEventType, UnknownSchemaVersion: this code is too old for one of them.
        """
        events = await self._store.load(account_id)
        if not events:
            raise AccountNotFound(account_id)
        return BankAccount.replay(account_id, events)

    async def save(self, account: BankAccount) -> None:
        """Append the account's pending events; nothing is pending afterwards.

        Raises:
            ConcurrencyError: somebody saved first. The pending events are still there, and
                worthless: get the account again and decide again.
        """
        pending = account.pending_events
        await self._store.append(account.id, pending, account.version - len(pending))
        account.clear_pending()


class SnapshottingAccountRepository:
    """An `AccountRepository` for long histories: loads the newest valid snapshot and the events
    after it, and leaves a snapshot behind every `interval` versions.

    It answers as the plain one does, and fails as it does: a snapshot that is wrong or cannot be
    read costs a replay, one that cannot be written costs the next reader a longer one.
    """

    def __init__(
        self, store: EventStore, snapshots: SnapshotStore, interval: int = INTERVAL
    ) -> None:
        """Use any `EventStore` and the `SnapshotStore` that belongs to it."""
        if interval < 1:
            message = f"a snapshot every {interval} versions is none: use 1 or more"
            raise ValueError(message)
        self._store = store
        self._plain = AccountRepository(store)
        self._snapshots = snapshots
        self._interval = interval

    async def get(self, account_id: UUID) -> BankAccount:
        """See `AccountRepository.get`."""
        found = await load_if_possible(self._snapshots, [account_id]) or {}
        snapshot = found.get(account_id)
        if snapshot is None:
            return await self._plain.get(account_id)
        account = snapshot.restore()
        for event in await self._store.load(account_id, snapshot.version):
            account.apply(event)
        return account

    async def save(self, account: BankAccount) -> None:
        """See `AccountRepository.save`. A snapshot is written after that, when one is due."""
        before = account.version - len(account.pending_events)
        await self._plain.save(account)
        if is_due(before, account.version, self._interval):
            await save_if_possible(self._snapshots, [Snapshot.of(account)])
