"""The five verbs: what they make of their arguments, and how a refusal arrives."""

import asyncio
import pickle
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from passbook.client import CommandRejected, OutcomeUnknown, PassbookClient
from passbook.domain.commands import (
    CloseAccount,
    Command,
    DepositMoney,
    FreezeAccount,
    OpenAccount,
    WithdrawMoney,
)
from passbook.domain.errors import MalformedValue
from tests.support.until import until
from tests.unit.client.fake_bank import FakeBank

ACCOUNT = UUID("0199d5d0-0000-7000-8000-000000000001")


async def test_every_verb_sends_its_command(client: PassbookClient, bank: FakeBank) -> None:
    await client.open_account("Ada", "500", account_id=ACCOUNT)
    await client.deposit(ACCOUNT, 20, "salary")
    await client.withdraw(str(ACCOUNT), Decimal("0.5"))
    await client.freeze(ACCOUNT, "court order", expected_version=3)
    await client.close(str(ACCOUNT).upper(), actor="ada", correlation_id="c-1")
    assert [message.command for _, message in bank.published] == [
        OpenAccount(ACCOUNT, "Ada", Decimal("500.00")),
        DepositMoney(ACCOUNT, Decimal("20.00"), "salary"),
        WithdrawMoney(ACCOUNT, Decimal("0.50")),
        FreezeAccount(ACCOUNT, "court order", 3),
        CloseAccount(ACCOUNT),
    ]
    assert bank.published[-1][1].context == {"actor": "ada", "correlation_id": "c-1"}


@pytest.mark.parametrize("wrong", [20.0, True, None, b"20", ["20"]])
async def test_amount_that_is_not_exact_is_a_type_error(
    client: PassbookClient, bank: FakeBank, wrong: Any
) -> None:
    with pytest.raises(TypeError, match="an amount is a Decimal, a str"):
        await client.deposit(ACCOUNT, wrong)
    assert not bank.published


@pytest.mark.parametrize(
    "wrong",
    ["20.005", "1e3", "-1", " 20", "٢٠", "NaN", -1, Decimal("NaN"), Decimal("-0.01"), 10**13],
)
async def test_amount_that_is_none_is_malformed(
    client: PassbookClient, bank: FakeBank, wrong: Any
) -> None:
    with pytest.raises(MalformedValue):
        await client.withdraw(ACCOUNT, wrong)
    assert not bank.published


@pytest.mark.parametrize("wrong", ["", "42", f"{{{ACCOUNT}}}", f"urn:uuid:{ACCOUNT}", ACCOUNT.hex])
async def test_id_that_is_none_is_malformed_also_one_of_a_command(
    client: PassbookClient, bank: FakeBank, wrong: str
) -> None:
    """An empty command id must not become a new one: its sender believes that it can ask again."""
    with pytest.raises(MalformedValue, match="not a UUID"):
        await client.close(wrong)
    with pytest.raises(MalformedValue, match="not a UUID"):
        await client.close(ACCOUNT, command_id=wrong)
    assert not bank.published


async def test_id_of_another_type_is_a_type_error(client: PassbookClient) -> None:
    wrong: Any = 42
    with pytest.raises(TypeError, match="an id is a UUID or its text"):
        await client.close(wrong)


async def test_refusal_is_raised_with_code_message_and_version(
    client: PassbookClient, bank: FakeBank
) -> None:
    bank.silent = True
    command_id = uuid4()
    waiting = asyncio.create_task(client.withdraw(ACCOUNT, 1000, command_id=command_id))
    await until(lambda: len(bank.published) == 1)
    bank.answer(command_id, ACCOUNT, "insufficient_funds")
    with pytest.raises(CommandRejected, match="insufficient_funds: because") as refused:
        await waiting
    error = refused.value
    assert (error.code, error.message, error.version) == ("insufficient_funds", "because", 7)
    assert error.outcome.command_id == command_id
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (again.code, again.outcome) == (error.code, error.outcome)


async def test_opening_again_after_a_timeout_opens_the_same_account(
    client: PassbookClient, bank: FakeBank
) -> None:
    """Fails (two accounts) when `open_account` takes a new id of its own for each call."""
    bank.silent = True
    with pytest.raises(OutcomeUnknown) as lost:
        await client.open_account("Ada", "500.00", timeout=0.01)
    bank.silent = False
    opened = await client.open_account("Ada", "500.00", command_id=lost.value.command_id)
    commands: list[Command] = [message.command for _, message in bank.published]
    assert commands[0] == commands[1]
    assert opened.account_id == commands[0].account_id
    other = await client.open_account("Ada", "500.00")
    assert other.account_id != opened.account_id
