"""Somebody else writes the same slots: nothing is lost, and nothing is decided on an old state."""

import asyncio
from decimal import Decimal
from uuid import UUID, uuid4

from passbook.eventstore.errors import ConcurrencyError
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.repository import AccountRepository
from tests.support.accounts import account_ids, opened
from tests.support.databases import OpenPool
from tests.support.ledger import Ledger, running
from tests.support.outsider import Message, command, document


def _open(account_id: object) -> Message:
    return command("OpenAccount", str(account_id), owner_name="Ada", initial_deposit="100.00")


async def _answer(ledger: Ledger, message: Message) -> tuple[str, int]:
    await ledger.outsider.send(message)
    found = await ledger.outsider.outcomes([message.command_id])
    told = document(found[message.command_id][0])
    return told["error"]["code"] if told["error"] else "accepted", told["version"]


async def test_a_command_is_decided_on_what_another_writer_has_just_stored(
    ledger: Ledger, pools: OpenPool
) -> None:
    """The service has both accounts in memory when somebody else changes them: a refusal has to be
    as current as an event.

    Seen to fail: without the heads of the slots in which only refusals were decided, the withdrawal
    was refused for want of funds that had been there, and the deposit for want of an account.
    """
    repository = AccountRepository(PostgresEventStore(await pools("passbook_command_service")))
    rich, late = uuid4(), uuid4()
    async with running(ledger.command_service()):
        await _answer(ledger, _open(rich))
        deposit = command("DepositMoney", str(late), amount="1.00")
        assert await _answer(ledger, deposit) == ("account_not_found", 0)
        account = await repository.get(rich)
        account.deposit(Decimal("900.00"))
        await repository.save(account)
        await repository.save(opened(late))

        withdrawal = command("WithdrawMoney", str(rich), amount="1000.00")
        assert await _answer(ledger, withdrawal) == ("accepted", 3)
        deposit = command("DepositMoney", str(late), amount="1.00")
        assert await _answer(ledger, deposit) == ("accepted", 2)


async def test_a_command_is_accepted_on_what_another_writer_has_just_stored(
    ledger: Ledger, pools: OpenPool
) -> None:
    repository = AccountRepository(PostgresEventStore(await pools("passbook_command_service")))
    account_id = uuid4()
    async with running(ledger.command_service()):
        await _answer(ledger, _open(account_id))
        account = await repository.get(account_id)
        account.withdraw(Decimal("100.00"))
        await repository.save(account)

        withdrawal = command("WithdrawMoney", str(account_id), amount="0.01")
        assert await _answer(ledger, withdrawal) == ("insufficient_funds", 2)


async def _deposit_directly(repository: AccountRepository, account_id: UUID, times: int) -> None:
    for _ in range(times):
        while True:
            account = await repository.get(account_id)
            account.deposit(Decimal("1.00"), "direct")
            try:
                await repository.save(account)
            except ConcurrencyError:
                continue
            break


async def test_invariant_1_commands_beside_a_direct_writer_on_the_same_slot_lose_nothing(
    ledger: Ledger, pools: OpenPool
) -> None:
    """600 commands on three accounts of one slot, while somebody saves two of them directly.

    Seen to fail: without the comparison of heads in `eventstore.append` the service breaks on
    versions that exist already.
    """
    repository = AccountRepository(
        PostgresEventStore(await pools("passbook_command_service", size=2))
    )
    shared, other, third = (next(account_ids(5)) for _ in range(3))
    opening = [_open(account_id) for account_id in (shared, other, third)]
    deposits = [
        command("DepositMoney", str(account_id), amount="1.00", reference="command")
        for _ in range(200)
        for account_id in (shared, other, third)
    ]
    async with running(ledger.command_service()):
        await ledger.outsider.send(*opening)
        await ledger.outsider.outcomes([message.command_id for message in opening])
        async with asyncio.TaskGroup() as group:
            group.create_task(_deposit_directly(repository, shared, 40))
            group.create_task(_deposit_directly(repository, other, 40))
            for start in range(0, len(deposits), 50):
                await ledger.outsider.send(*deposits[start : start + 50])
        answers = await ledger.outsider.outcomes([message.command_id for message in deposits])

    assert {document(answer)["outcome"] for found in answers.values() for answer in found} == {
        "accepted"
    }
    balances = [(await repository.get(account_id)).balance for account_id in (shared, other, third)]
    assert balances == [Decimal("340.00"), Decimal("340.00"), Decimal("300.00")]


async def test_two_services_share_the_partitions_and_decide_everything_once(
    ledger: Ledger, pools: OpenPool
) -> None:
    accounts = [uuid4() for _ in range(40)]
    opening = [_open(account_id) for account_id in accounts]
    deposits = [
        command("DepositMoney", str(account_id), amount="1.00")
        for _ in range(5)
        for account_id in accounts
    ]
    async with running(ledger.command_service()):
        await ledger.outsider.send(*opening)
        async with running(ledger.command_service()):
            await ledger.outsider.send(*deposits[:100])
            await ledger.outsider.outcomes([message.command_id for message in deposits[:100]])
        await ledger.outsider.send(*deposits[100:])
        await ledger.outsider.outcomes([message.command_id for message in deposits])

    store = PostgresEventStore(await pools("passbook_reader"))
    histories = [await store.history(account_id) for account_id in accounts]
    assert {len(history) for history in histories} == {6}
