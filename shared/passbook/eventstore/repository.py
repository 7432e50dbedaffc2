"""Accounts as objects: load one, change it, save it, with optimistic concurrency."""

from uuid import UUID

from passbook.domain.account import BankAccount
from passbook.eventstore.errors import AccountNotFound
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
