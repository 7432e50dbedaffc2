"""Accounts folded from their events, from the newest snapshot on: a long history costs a reader of
today's balance no more than a short one, and keeps the event loop from nobody else.
"""

from uuid import UUID

from passbook.domain.account import BankAccount
from passbook.eventstore.errors import AccountNotFound, StoreUnavailable
from passbook.eventstore.past import PastState
from passbook.eventstore.snapshots import Snapshot
from services.balance_projector.documents import AccountState, folded_state
from services.query_api.backend import Backend


async def folded(backend: Backend, account_id: UUID, version: int | None) -> AccountState | None:
    """Return an account as its events tell now (None), or told at a version; None if it has not had
    that version yet.

    Raises:
        AccountNotFound: it has no events.
        What the store does.
    """
    snapshot = await _snapshot(backend, account_id, version)
    after = 0 if snapshot is None else snapshot.version
    limit = None if version is None else version - after
    events = await backend.store.history(account_id, after, limit)
    if snapshot is None:
        if not events:
            raise AccountNotFound(account_id)
        account = BankAccount.replay(account_id, [event.decode() for event in events])
    else:
        account = snapshot.restore()
        for event in events:
            account.apply(event.decode())
    if version is not None and account.version != version:
        return None
    if not events:
        events = await backend.store.history(account_id, account.version - 1, 1)
    return folded_state(PastState(account, events[-1].recorded_at))


async def _snapshot(backend: Backend, account_id: UUID, version: int | None) -> Snapshot | None:
    """Return the newest snapshot up to a version; one that cannot be had costs a replay."""
    up_to = None if version is None else {account_id: version}
    try:
        return (await backend.snapshots.load([account_id], up_to)).get(account_id)
    except StoreUnavailable:
        return None
