"""A program of a user, checked in strict mode against what is installed: types say what is meant."""

import asyncio
import re
import sys
from pathlib import Path

_PROGRAM = """
from datetime import datetime
from decimal import Decimal
from typing import assert_type
from uuid import UUID

from passbook import AccountEvent, MoneyDeposited
from passbook.client import Bank, CommandRejected, OutcomeUnknown, Outcome, PassbookClient
from passbook.client import EventsMissing, ReceivedEvent, Subscription
from passbook.client.testing import FakeBank


async def pay(bank: Bank, account_id: UUID) -> int:
    try:
        outcome = await bank.deposit(account_id, "20.00", "salary", actor="payroll", timeout=5)
    except CommandRejected as refused:
        assert_type(refused.code, str)
        return refused.version
    except OutcomeUnknown as unknown:
        outcome = await bank.deposit(account_id, Decimal(20), command_id=unknown.command_id)
    assert_type(outcome, Outcome)
    return outcome.version


def told(missing: EventsMissing) -> None:
    print(missing.slot, missing.expected, missing.found)


async def follow(bank: Bank) -> None:
    events = bank.subscribe(group="payroll", types={MoneyDeposited}, from_="now", on_gap=told)
    assert_type(events, Subscription)
    async with events:
        async for received in events:
            assert_type(received, ReceivedEvent)
            assert_type(received.event, AccountEvent)
            assert_type(received.recorded_at, datetime)
            await received.ack()


async def main() -> None:
    async with PassbookClient(bootstrap_servers="localhost:9092") as bank:
        await pay(bank, UUID(int=1))
    async with FakeBank() as fake:
        opened = await fake.open_account("Ada", 100)
        await pay(fake, opened.account_id)
        await follow(fake)
"""
_WRONG = """
async def wrong(bank: Bank, received: ReceivedEvent) -> None:
    await bank.deposit(UUID(int=1), 20.5)
    await bank.deposit(UUID(int=1), 20, actr="ada")
    await bank.open_account("Ada")
    bank.subscribe(group="r", from_="end")
    received.ack(1)
    received.version = 2
"""


async def _check(file: Path) -> tuple[int | None, list[str]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mypy", "--strict", "--cache-dir", file.parent / "cache", file),
        cwd=file.parent,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode().splitlines()


async def test_a_correct_program_passes_and_each_mistake_is_found(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(_PROGRAM)
    assert await _check(file) == (0, ["Success: no issues found in 1 source file"])
    file.write_text(_PROGRAM + _WRONG)
    code, found = await _check(file)
    first = len(_PROGRAM.splitlines()) + 3
    lines = {int(number) for number in re.findall(r"program\.py:(\d+): error", "\n".join(found))}
    assert code == 1
    assert lines == set(range(first, first + 6)), found
