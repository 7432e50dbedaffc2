"""What the bank for users' tests can do beyond a real one: lose, and repeat."""

from decimal import Decimal
from uuid import uuid4

import pytest

from passbook.client import EventsMissing, OutcomeUnknown
from passbook.client.testing import FakeBank
from passbook.domain.account import AccountStatus
from tests.conformance.client.stage import take


async def test_a_lost_answer_is_unknown_and_was_decided() -> None:
    bank, account_id = FakeBank(), uuid4()
    await bank.open_account("Ada", 100, account_id=account_id)
    bank.lose_next_answer()
    with pytest.raises(OutcomeUnknown) as lost:
        await bank.deposit(account_id, 20)
    assert bank.account(account_id).balance == Decimal("120.00")
    assert (await bank.deposit(account_id, 20, command_id=lost.value.command_id)).version == 2
    assert bank.account(account_id).balance == Decimal("120.00")


async def test_a_lost_command_is_unknown_and_was_not_decided() -> None:
    bank, account_id = FakeBank(), uuid4()
    await bank.open_account("Ada", 100, account_id=account_id)
    bank.lose_next_command()
    with pytest.raises(OutcomeUnknown) as lost:
        await bank.deposit(account_id, 20)
    assert bank.account(account_id).balance == Decimal("100.00")
    assert (await bank.deposit(account_id, 20, command_id=lost.value.command_id)).version == 2


async def test_a_lost_event_is_missing_and_a_repeated_one_is_not_seen() -> None:
    bank, account_id = FakeBank(), uuid4()
    with pytest.raises(LookupError):
        bank.repeat_last_event()
    await bank.open_account("Ada", 100, account_id=account_id)
    bank.repeat_last_event()
    bank.lose_next_event()
    await bank.deposit(account_id, 20)
    await bank.close(account_id)
    async with bank, bank.subscribe(group="readers") as events:
        await take(events, 1)
        with pytest.raises(EventsMissing, match="expected number 2, found 3"):
            await take(events, 1)
        assert events.repeated == 1


async def test_an_account_can_be_looked_at_and_is_a_copy() -> None:
    bank, account_id = FakeBank(), uuid4()
    with pytest.raises(KeyError):
        bank.account(account_id)
    assert bank.history(account_id) == []
    await bank.open_account("Ada", 100, account_id=account_id)
    bank.account(account_id).close()
    assert bank.account(account_id).status is AccountStatus.ACTIVE
    assert [event.event_type for event in bank.history(account_id)] == ["AccountOpened"]
