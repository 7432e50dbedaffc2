"""Schema versions on every way out of a store: old events are read as today's, and where the code
knows no way, the reader raises and nothing is skipped.

What only the chain can tell, the amount of the deposits of `newer`, shows that it was asked.
"""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Final
from uuid import UUID, uuid4

import pytest

from passbook.domain.account import BankAccount
from passbook.domain.errors import UnknownSchemaVersion
from passbook.domain.events import MoneyDeposited
from passbook.eventstore.cache import AccountCache
from passbook.eventstore.past import account_at_version
from passbook.eventstore.repository import AccountRepository, SnapshottingAccountRepository
from passbook.eventstore.snapshots import InMemorySnapshotStore
from passbook.eventstore.store import EventStore
from passbook.projection.recorded import from_recorded
from tests.support.newer import append_newer, upgraded
from tests.support.old import append_old

Read = Callable[[EventStore, UUID], Awaitable[BankAccount | None]]


async def _repository(store: EventStore, account_id: UUID) -> BankAccount:
    return await AccountRepository(store).get(account_id)


async def _snapshots(store: EventStore, account_id: UUID) -> BankAccount:
    return await SnapshottingAccountRepository(store, InMemorySnapshotStore()).get(account_id)


async def _cache(store: EventStore, account_id: UUID) -> BankAccount | None:
    cache = AccountCache(store, 10)
    for error in (await cache.load([account_id])).values():
        assert cache.get(account_id) is None
        raise error
    place = cache.get(account_id)
    return None if place is None else place.account


async def _version(store: EventStore, account_id: UUID) -> BankAccount | None:
    found = await account_at_version(store, account_id, 2)
    return None if found is None else found.account


async def _published(store: EventStore, account_id: UUID) -> BankAccount:
    events = [from_recorded(event) for event in await store.history(account_id)]
    return BankAccount.replay(account_id, [event.decode() for event in events])


_READS: Final[list[Read]] = [_repository, _snapshots, _cache, _version, _published]


@pytest.mark.parametrize("read", _READS)
async def test_an_old_event_is_read_as_todays(store: EventStore, read: Read) -> None:
    account = await read(store, await append_old(store))
    assert account is not None
    assert (account.balance, account.version) == (Decimal("101.00"), 2)


async def test_an_old_deposit_has_the_reference_of_all_old_deposits(store: EventStore) -> None:
    _, deposit = await store.load(await append_old(store))
    assert isinstance(deposit, MoneyDeposited)
    assert deposit.reference == "legacy-deposit"


@pytest.mark.parametrize("read", _READS)
async def test_a_newer_event_stops_the_reader_until_it_is_upgraded(
    store: EventStore, read: Read
) -> None:
    """Seen to fail: with `decode` handing the stored data on without the chain."""
    stream = await append_newer(store, uuid4())
    with pytest.raises(UnknownSchemaVersion, match="MoneyDeposited of schema version 99"):
        await read(store, stream.account_id)
    with upgraded():
        account = await read(store, stream.account_id)
    assert account is not None
    assert (account.balance, account.version) == (Decimal("101.00"), 2)


async def test_old_events_are_stored_as_they_were(store: EventStore) -> None:
    """Reading changes nothing: `history` has them in their own shape, with their version."""
    account_id = await append_old(store)
    await AccountRepository(store).get(account_id)
    _, deposit = await store.history(account_id)
    assert (deposit.schema_version, "reference" in deposit.data) == (1, False)
