"""What commands are answered, by the bank that runs and by the one for users' tests."""

import asyncio
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from passbook.client import (
    Bank,
    CloseAccount,
    Command,
    CommandRejected,
    DepositMoney,
    FreezeAccount,
    MalformedValue,
    OpenAccount,
    WithdrawMoney,
)


async def test_the_life_of_an_account(bank: Bank) -> None:
    opened = await bank.open_account("Ada", "500.00")
    account_id = opened.account_id
    outcomes = [
        opened,
        await bank.deposit(account_id, 20, "salary"),
        await bank.withdraw(account_id, "0.50"),
        await bank.freeze(account_id, "court order", expected_version=3),
        await bank.close(str(account_id)),
    ]
    assert [(one.accepted, one.version, one.account_id) for one in outcomes] == [
        (True, version, account_id) for version in range(1, 6)
    ]
    assert all(len(one.events) == 1 for one in outcomes)


async def test_every_refusal_has_its_code_message_and_version(bank: Bank) -> None:
    one, missing = uuid4(), uuid4()
    await bank.open_account("Ada", 100, account_id=one)
    refused = [
        await _refused(bank.open_account("Ada", "99.99")),
        await _refused(bank.open_account("Ada", 100, account_id=one)),
        await _refused(bank.deposit(missing, 1)),
        await _refused(bank.deposit(one, 0)),
        await _refused(bank.withdraw(one, "100.01")),
        await _refused(bank.deposit(one, "9999999999999.99")),
        await _refused(bank.deposit(one, 1, expected_version=7)),
    ]
    await bank.close(one)
    refused += [
        await _refused(bank.withdraw(one, 1)),
        await _refused(bank.freeze(one, "late")),
        await _refused(bank.close(one)),
    ]
    assert [(error.code, error.message, error.version) for error in refused] == [
        ("minimum_deposit", "Minimum opening deposit is $100", 0),
        ("account_already_exists", f"Account {one} already exists", 1),
        ("account_not_found", f"Account {missing} not found", 0),
        ("amount_not_positive", "Deposit amount must be positive", 1),
        ("insufficient_funds", "Insufficient funds: balance=100.00, requested=100.01", 1),
        ("balance_limit", "Balance limit exceeded", 1),
        ("version_mismatch", "Expected version 7, found 1", 1),
        ("account_not_active", "Cannot withdraw from closed account", 2),
        ("account_not_active", "Only active accounts can be frozen", 2),
        ("account_closed", "Account is already closed", 2),
    ]


async def _refused(asking: Any) -> CommandRejected:
    with pytest.raises(CommandRejected) as refused:
        await asking
    return refused.value


async def test_a_repeated_command_has_its_first_outcome_also_a_refusal(bank: Bank) -> None:
    opened = await bank.open_account("Ada", 100)
    account_id = opened.account_id
    assert await bank.open_account("Ada", "100.00", command_id=opened.command_id) == opened
    command_id = uuid4()
    first = await bank.execute(WithdrawMoney(account_id, Decimal(200)), command_id=command_id)
    await bank.deposit(account_id, 500)
    again = await bank.execute(WithdrawMoney(account_id, Decimal(200)), command_id=command_id)
    assert not first.accepted
    assert first == again


async def test_an_id_with_other_content_is_a_conflict_and_changes_nothing(bank: Bank) -> None:
    account_id, command_id = uuid4(), uuid4()
    await bank.open_account("Ada", 100, account_id=account_id)
    await bank.deposit(account_id, 20, command_id=command_id)
    refused = await _refused(bank.deposit(account_id, 21, command_id=command_id))
    assert (refused.code, refused.version) == ("idempotency_conflict", 2)
    assert refused.message == "This command id was used before, with other content"
    assert (await bank.withdraw(account_id, 120)).version == 3
    # As content counts what the bank reads: 20 and 20.00 are one amount, and no reference is "".
    assert (await bank.deposit(account_id, "20.00", "", command_id=command_id)).version == 2


async def test_what_nobody_would_understand_is_malformed(bank: Bank) -> None:
    one = uuid4()
    commands: list[Command] = [
        OpenAccount(one, "", Decimal(100)),
        OpenAccount(one, "A\n", Decimal(100)),
        DepositMoney(one, Decimal("0.001")),
        DepositMoney(one, Decimal(-1)),
        FreezeAccount(one, "x" * 201),
        CloseAccount(one, expected_version=-1),
    ]
    for command in commands:
        with pytest.raises(MalformedValue):
            await bank.execute(command)


async def test_a_command_that_was_only_sent_is_carried_out(bank: Bank) -> None:
    account_id = uuid4()
    command = OpenAccount(account_id, "Ada", Decimal(100))
    command_id = await bank.send(command)
    outcome = await bank.execute(command, command_id=command_id)
    assert (outcome.accepted, outcome.version) == (True, 1)


async def test_commands_of_one_account_are_decided_in_the_order_in_which_they_were_asked(
    bank: Bank,
) -> None:
    account_id = uuid4()
    await bank.open_account("Ada", 100, account_id=account_id)
    outcomes = await asyncio.gather(*(bank.deposit(account_id, 1) for _ in range(50)))
    assert [outcome.version for outcome in outcomes] == list(range(2, 52))
