"""Many who change one account at the same time."""

import asyncio
from decimal import Decimal
from uuid import UUID

from passbook.domain.account import BankAccount
from passbook.eventstore.errors import ConcurrencyError
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.repository import AccountRepository
from tests.support.accounts import opened

_SAVERS = 20


async def _deposit(accounts: AccountRepository, account_id: UUID, amount: int) -> int:
    """Deposit, however often somebody else was first; return how often that was."""
    for lost in range(10_000):
        account = await accounts.get(account_id)
        account.deposit(Decimal(amount), f"saver {amount}")
        try:
            await accounts.save(account)
        except ConcurrencyError:
            continue
        return lost
    raise AssertionError


async def test_invariant_1_twenty_concurrent_savers_of_one_account_lose_nothing(
    store: PostgresEventStore,
) -> None:
    """Twenty deposits of 1, 2, … 20 arrive together; each is there exactly once.

    Seen to fail: with `ON CONFLICT DO NOTHING` on the insert of events in `eventstore.append` and
    no comparison of versions, deposits are missing; without the comparison alone, the unique key
    still refuses, as a `BrokenInvariant`.
    """
    accounts = AccountRepository(store)
    account = opened(deposit="100.00")
    await accounts.save(account)

    async with asyncio.TaskGroup() as group:
        savers = [
            group.create_task(_deposit(accounts, account.id, amount))
            for amount in range(1, _SAVERS + 1)
        ]

    found = await accounts.get(account.id)
    history = await store.history(account.id)
    assert found.balance == Decimal(100 + sum(range(1, _SAVERS + 1)))
    assert [event.version for event in history] == list(range(1, _SAVERS + 2))
    references = {event.data["reference"] for event in (row.decode() for row in history[1:])}
    assert references == {f"saver {amount}" for amount in range(1, _SAVERS + 1)}
    assert sum(saver.result() for saver in savers) > 0, "nobody met anybody: no test at all"


async def test_invariant_1_of_twenty_who_open_the_same_account_one_does(
    store: PostgresEventStore,
) -> None:
    """Seen to fail: as the test above."""
    first = opened()

    async def save() -> bool:
        account = BankAccount.open(first.id, "Ada", Decimal(100))
        try:
            await AccountRepository(store).save(account)
        except ConcurrencyError:
            return False
        return True

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(save()) for _ in range(_SAVERS)]

    assert [task.result() for task in tasks].count(True) == 1
    assert len(await store.history(first.id)) == 1
