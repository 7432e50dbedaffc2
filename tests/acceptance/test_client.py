"""The client while the command service is killed under it: nobody is left without an answer, and
asking again gives the one outcome (invariants 2 and 7, seen by other people's code).
"""

import asyncio
import os
import signal
from collections import defaultdict
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Final
from uuid import UUID, uuid4

import asyncpg
import pytest

from passbook.client import Bank, Outcome, OutcomeUnknown, PassbookClient
from passbook.domain.commands import Command, DepositMoney, WithdrawMoney
from passbook.domain.events import AccountOpened, MoneyDeposited, MoneyWithdrawn
from tests.support.installation import Up, installation
from tests.support.program import Program
from tests.support.until import until

_COMMANDS: Final = 2_000
_ACCOUNTS: Final = 40
_PATIENT_S: Final = 60.0
_HASTY_S: Final = 2.0
"""Shorter than the partitions of a killed service stay idle."""

_APPENDED: Final = "SELECT sum(head)::bigint FROM eventstore.slots"


@pytest.fixture
async def running() -> AsyncIterator[tuple[Up, Program]]:
    with installation(PASSBOOK_KAFKA_SESSION_TIMEOUT_S="6") as here:
        async with here.up() as up:
            yield up, here.passbook


async def test_every_command_in_flight_when_the_service_is_killed_ends_with_one_outcome(
    running: tuple[Up, Program],
) -> None:
    """Fails (asking again makes new commands) when `execute` does not send the id that it is given."""
    up, passbook = running
    async with PassbookClient(up.document["kafka_bootstrap"]) as bank:
        accounts = [uuid4() for _ in range(_ACCOUNTS)]
        async with asyncio.TaskGroup() as group:
            for account_id in accounts:
                group.create_task(bank.open_account("Ada", "100.00", account_id=account_id))
        commands = {uuid4(): _command(accounts, number) for number in range(_COMMANDS)}
        (pid,) = up.service_pids["command-service"]
        os.kill(pid, signal.SIGSTOP)
        asked = [
            asyncio.create_task(_ask(bank, command_id, command, number))
            for number, (command_id, command) in enumerate(commands.items())
        ]
        await until(lambda: len(bank._answers._waiting) == _COMMANDS)
        await _killed_in_the_middle(pid, up.document["admin_dsn"])
        left = sum(not one.done() for one in asked)
        told = await asyncio.gather(*asked)

        unknown = {answer for answer in told if isinstance(answer, UUID)}
        first = {answer.command_id: answer for answer in told if isinstance(answer, Outcome)}
        assert left > _COMMANDS // 10, "too late: most commands had their outcome"
        assert unknown, "nobody was hasty"
        assert any(answer.version > 1 for answer in first.values()), "nobody was patient"
        assert len(unknown) + len(first) == _COMMANDS
        again = {
            outcome.command_id: outcome
            for outcome in await asyncio.gather(
                *(
                    bank.execute(command, command_id=command_id, timeout=_PATIENT_S)
                    for command_id, command in commands.items()
                )
            )
        }
        assert {name: again[name] for name in first} == first
        assert again.keys() == commands.keys()
        expected = _balances(accounts, commands, again)
        assert await _balances_in_the_log(bank, expected) == expected
    await _list_says(passbook, expected)


async def _killed_in_the_middle(pid: int, admin_dsn: str) -> None:
    """Let a frozen service go on until something is appended, perhaps not answered yet, and kill it."""
    connection = await asyncpg.connect(admin_dsn)
    try:
        before = await connection.fetchval(_APPENDED)
        os.kill(pid, signal.SIGCONT)
        async with asyncio.timeout(10):
            while await connection.fetchval(_APPENDED) == before:
                pass
        os.kill(pid, signal.SIGKILL)
    finally:
        await connection.close()


def _command(accounts: list[UUID], number: int) -> Command:
    account_id = accounts[number % len(accounts)]
    if number % 3:
        return DepositMoney(account_id, Decimal(number % 7 + 1))
    return WithdrawMoney(account_id, Decimal(number % 50 + 1))


async def _ask(bank: Bank, command_id: UUID, command: Command, number: int) -> Outcome | UUID:
    """Return the outcome, or the id of a command whose outcome is unknown."""
    timeout = _HASTY_S if number % 2 else _PATIENT_S
    try:
        return await bank.execute(command, command_id=command_id, timeout=timeout)
    except OutcomeUnknown as unknown:
        return unknown.command_id


def _balances(
    accounts: list[UUID], commands: dict[UUID, Command], outcomes: dict[UUID, Outcome]
) -> dict[UUID, Decimal]:
    """Return what the accounts hold when every accepted command had its effect once."""
    balances = dict.fromkeys(accounts, Decimal("100.00"))
    for command_id, command in commands.items():
        if outcomes[command_id].accepted:
            match command:
                case DepositMoney():
                    balances[command.account_id] += command.amount
                case WithdrawMoney():
                    balances[command.account_id] -= command.amount
    return balances


async def _balances_in_the_log(bank: Bank, expected: dict[UUID, Decimal]) -> dict[UUID, Decimal]:
    """Return what a subscriber makes of all events, as soon as it is what is expected."""
    balances: dict[UUID, Decimal] = defaultdict(Decimal)
    async with asyncio.timeout(_PATIENT_S), bank.subscribe(group="accountants") as events:
        async for received in events:
            match received.event:
                case AccountOpened(initial_deposit=amount) | MoneyDeposited(amount=amount):
                    balances[received.account_id] += amount
                case MoneyWithdrawn(amount=amount):
                    balances[received.account_id] -= amount
                case _:
                    raise AssertionError(received)
            await received.ack()
            if balances == expected:
                break
    return dict(balances)


async def _list_says(passbook: Program, expected: dict[UUID, Decimal]) -> None:
    async def same() -> bool:
        listed = (await passbook("account", "list", "--limit", 100, "--json")).document
        return {UUID(one["account_id"]): Decimal(one["balance"]) for one in listed["accounts"]} == (
            expected
        )

    await until(same, 30)
