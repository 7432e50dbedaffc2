"""The loop of the command service: poll, decide, append, answer, and what breaks in between."""

import asyncio
from decimal import Decimal
from uuid import uuid4

import pytest

from passbook.eventstore.errors import StoreUnavailable
from passbook.eventstore.repository import AccountRepository
from passbook.messaging.producer import PublishFailed
from tests.support.accounts import account_ids
from tests.support.messages import message
from tests.support.until import until
from tests.unit.services.deciding import Bank, ask


async def test_the_next_poll_is_decided_on_top_of_the_append_under_way() -> None:
    account = uuid4()
    bank = Bank([ask("OpenAccount", account)])
    bank.store.gate.clear()
    async with bank.running():
        await until(lambda: bank.store.waiting)
        bank.consumer.arrive(ask("DepositMoney", account), ask("CloseAccount", account))
        await bank.consumer.taken()
        assert bank.outcomes == []
        bank.store.gate.set()
        assert await bank.answered(3) == ["accepted"] * 3
    assert [event.version for event in await bank.store.load(account)] == [1, 2, 3]
    assert bank.rings == 2


async def test_a_command_that_is_repeated_in_one_poll_is_decided_once() -> None:
    account = uuid4()
    opening, bad = ask("OpenAccount", account), ask("WithdrawMoney", account, amount="1e3")
    bank = Bank([opening, bad, opening, bad, opening])
    async with bank.running():
        codes = await bank.answered(5)
    assert codes == ["accepted", "malformed", "accepted", "malformed", "accepted"]
    assert bank.outcomes[0] == bank.outcomes[2] == bank.outcomes[4]
    assert len(await bank.store.history(account)) == 1


async def test_a_command_that_is_repeated_while_it_is_appended_has_one_effect() -> None:
    """Its outcome is not stored yet when the next poll is decided, so both are appended; the second
    append is refused as a whole and decided again.

    Seen to fail: without the redo on `DuplicateCommand`.
    """
    account = uuid4()
    opening, deposit = ask("OpenAccount", account), ask("DepositMoney", account, amount="5.00")
    bank = Bank([opening, deposit])
    bank.store.gate.clear()
    async with bank.running():
        await until(lambda: bank.store.waiting)
        bank.consumer.arrive(deposit, ask("DepositMoney", account, amount="7.00"), opening)
        await bank.consumer.taken()
        bank.store.gate.set()
        assert await bank.answered(5) == ["accepted"] * 5
    found = await AccountRepository(bank.store).get(account)
    assert (found.balance, found.version) == (Decimal("512.00"), 3)
    by_command = {outcome["command_id"]: outcome for outcome in bank.outcomes}
    assert all(outcome == by_command[outcome["command_id"]] for outcome in bank.outcomes)


async def test_what_was_decided_on_top_of_a_refused_append_is_decided_again() -> None:
    """Somebody empties the account while two polls are under way: both are decided anew, in order.

    Seen to fail: with only the refused batch decided again.
    """
    account, neighbour = (next(account_ids(5)) for _ in range(2))
    bank = Bank([ask("OpenAccount", account), ask("OpenAccount", neighbour)])
    async with bank.running():
        await bank.answered(2)
        bank.store.gate.clear()
        bank.consumer.arrive(ask("WithdrawMoney", account, amount="1.00"))
        await until(lambda: bank.store.waiting)
        bank.consumer.arrive(
            ask("WithdrawMoney", account, amount="2.00"), ask("FreezeAccount", neighbour)
        )
        await bank.consumer.taken()
        direct = AccountRepository(bank.store)
        other = await direct.get(account)
        other.withdraw(other.balance)
        await direct.save(other)
        bank.store.gate.set()
        codes = await bank.answered(5)
    assert codes[2:] == ["insufficient_funds", "insufficient_funds", "accepted"]
    assert {outcome["version"] for outcome in bank.outcomes[2:]} == {2}


async def test_offsets_are_committed_after_the_answers() -> None:
    account = uuid4()
    bank = Bank([ask("OpenAccount", account), ask("CloseAccount", account)])
    bank.store.gate.clear()
    async with bank.running():
        await until(lambda: bank.store.waiting)
        assert bank.consumer.processed_up_to == 0
        bank.store.gate.set()
        await bank.answered(2)
        await until(lambda: bank.consumer.processed_up_to == 2)


async def test_what_was_appended_when_it_is_told_to_stop_is_answered() -> None:
    bank = Bank([ask("OpenAccount", uuid4())])
    bank.store.gate.clear()
    async with bank.running():
        await until(lambda: bank.store.waiting)
        asyncio.get_running_loop().call_later(0.05, bank.store.gate.set)
    assert len(bank.outcomes) == 1
    assert bank.consumer.processed_up_to == 1


async def test_an_append_without_an_answer_ends_the_session_and_answers_nobody() -> None:
    """What is unknown is left to the redelivery."""
    bank = Bank([ask("OpenAccount", uuid4())])
    bank.store.failure = StoreUnavailable("gone")
    with pytest.raises(StoreUnavailable):
        async with bank.running():
            await asyncio.sleep(0.05)
    assert bank.outcomes == []
    assert bank.consumer.processed_up_to == 0


async def test_outcomes_that_cannot_be_published_end_the_session_though_nothing_else_comes() -> (
    None
):
    """Seen to fail: before it was mended, only the next command's answer noticed."""
    bank = Bank([ask("OpenAccount", uuid4())])
    bank.producer.fail = True
    async with asyncio.timeout(5):
        with pytest.raises(PublishFailed):
            await bank.service.run(asyncio.Event())
    assert bank.consumer.processed_up_to == 0


async def test_bad_messages_get_a_dead_letter_and_an_outcome_if_they_have_an_id() -> None:
    nameless = message(value=b"nonsense", ce_id="no uuid")
    bad = message(value=b"nonsense too", ce_id=str(uuid4()))
    bank = Bank([nameless, bad, ask("OpenAccount", uuid4())])
    async with bank.running():
        assert await bank.answered(2) == ["malformed", "accepted"]
        await until(lambda: bank.consumer.processed_up_to == 3)
    assert bank.letters == [b"nonsense", b"nonsense too"]


async def test_more_accounts_than_fit_into_the_cache_are_read_again() -> None:
    accounts = [uuid4() for _ in range(60)]
    polls = [[ask("OpenAccount", account)] for account in accounts]
    polls += [[ask("DepositMoney", account, amount="1.00")] for account in accounts]
    bank = Bank(*polls, cached=5)
    async with bank.running():
        assert await bank.answered(120) == ["accepted"] * 120
    assert len(bank.service._cache) <= 6
    assert all([len(await bank.store.history(account)) == 2 for account in accounts])
