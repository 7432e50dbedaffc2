"""deploy/runbooks/poison-message.md, followed to the letter, with one message of each kind."""

import random
from typing import Any, Final
from unittest.mock import patch
from uuid import UUID, uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from passbook.domain.account import BankAccount
from passbook.domain.commands import Command, execute
from passbook.domain.stamps import Stamp
from passbook.messaging import events
from passbook.messaging.commands import decode
from tests.support.databases import Connect
from tests.support.ledger import Ledger, Part, running
from tests.support.outsider import Message, command, error_code, header
from tests.support.runbook import Page
from tests.support.until import until

PAGE: Final = Page("poison-message")
_POISON: Final = "4.04"


def _buggy(account: BankAccount | None, asked: Command, stamp: Stamp) -> BankAccount:
    """Decide like `execute`, with a bug in it."""
    if str(getattr(asked, "amount", "")) == _POISON:
        message = "a bug"
        raise RuntimeError(message)
    return execute(account, asked, stamp)


async def test_a_command_that_ends_the_process_is_set_aside_and_decided_after_the_bug_is_mended(
    ledger: Ledger,
) -> None:
    """The service says where the record is; with that place in its settings it leaves a dead letter
    and goes on; the letter has no outcome, so that a replay decides it, once.
    """
    account = str(uuid4())
    opening = command("OpenAccount", account, owner_name="Alice", initial_deposit="500.00")
    poison = command("DepositMoney", account, amount=_POISON)
    after = command("DepositMoney", account, amount="1.00")
    sent = await ledger.outsider.send(opening, poison, after)
    place = f"{sent[1].partition}:{sent[1].offset}"
    with patch("services.command_service.engine.execute", _buggy):
        for _ in range(2):
            with capture_logs() as logs:
                ended_with = await Part(ledger.command_service()).failure()
            assert isinstance(ended_with, RuntimeError)
            (told,) = [entry for entry in logs if entry["event"] == "command.crashed"]
            assert f"{told['partition']}:{told['offset']}" == place
        async with running(ledger.command_service(aside=place)):
            outcomes = await ledger.outsider.outcomes([opening.command_id, after.command_id])
    assert {error_code(*copies) for copies in outcomes.values()} == {"accepted"}
    listed = (await PAGE.follow(ledger.operator, "Look at it"))[0].document
    (letter,) = [one for one in listed if one["id"] == poison.command_id]
    assert letter["reason"] == "set aside by the operator"

    async with running(ledger.command_service()):
        for _ in range(2):
            await PAGE.follow(
                ledger.operator, "Publish it again", **{"commands/3:17": letter["place"]}
            )
        (first, *_) = (await ledger.outsider.outcomes([poison.command_id], 2))[poison.command_id]
    assert error_code(first) == "accepted"
    assert header(first, "ce_version") == "3"


async def test_a_foreign_record_in_the_events_is_put_aside_and_everybody_goes_on(
    ledger: Ledger, connect: Connect
) -> None:
    account = str(uuid4())
    opening = command("OpenAccount", account, owner_name="Alice", initial_deposit="500.00")
    foreign = [
        Message(None, None, []),
        Message(b"\xff", b"{}", [("ce_slot", b"999"), ("ce_slotseq", b"-1")]),
        Message(account.encode(), b"x" * 900_000, [("ce_slot", None)]),
    ]
    await ledger.outsider.send(*foreign, topic="events")
    owner = await connect()
    async with (
        running(ledger.relay()),
        running(ledger.balances()),
        running(ledger.command_service()),
    ):
        await ledger.outsider.send(opening)
        await until(lambda: _balance(owner, account), 30)
    listed = (await PAGE.follow(ledger.operator, "Look at it"))[0].document
    assert sum(one["place"].startswith("events-balance/") for one in listed) == len(foreign)


async def test_an_account_that_does_not_fit_is_parked_and_folded_anew(
    ledger: Ledger, connect: Connect
) -> None:
    account = str(uuid4())
    opening = command("OpenAccount", account, owner_name="Alice", initial_deposit="500.00")
    deposit = command("DepositMoney", account, amount="1.00")
    owner = await connect()
    async with (
        running(ledger.relay()),
        running(ledger.balances()),
        running(ledger.command_service()),
    ):
        await ledger.outsider.send(opening)
        await until(lambda: _balance(owner, account), 30)
        await owner.execute("UPDATE balances.accounts SET version = 7")
        await ledger.outsider.send(deposit)
        await until(lambda: owner.fetchval("SELECT count(*) FROM projections.parked"), 30)
        await PAGE.follow(ledger.operator, "Take a parked account back")
    assert await owner.fetchval("SELECT count(*) FROM projections.parked") == 0
    await PAGE.follow(ledger.operator, "How to know that it is over")


async def _balance(owner: asyncpg.Connection, account: str) -> Any:
    return await owner.fetchval(
        "SELECT balance FROM balances.accounts WHERE account_id = $1", UUID(account)
    )


@pytest.mark.parametrize("seed", range(4))
def test_no_bytes_end_a_decoder(seed: int) -> None:
    """Records are changed at random, from the commands and events that there are."""
    chance = random.Random(seed)
    for _ in range(2_000):
        record = _mutated(chance)
        decode(*record)
        try:
            events.decode(*record)
        except events.ForeignRecord:
            continue


def _mutated(chance: random.Random) -> tuple[bytes | None, bytes | None, Any]:
    right = command("DepositMoney", str(uuid4()), amount="1.00")
    headers = [
        *right.headers,
        *((name, b"7") for name in ("ce_slot", "ce_slotseq", "ce_version", "ce_schemaversion")),
        ("ce_time", b"2026-01-31T12:00:00Z"),
        ("ce_recordedtime", b"2026-01-31T12:00:00Z"),
    ]
    parts = [right.key or b"", right.value or b"", *(value or b"" for _, value in headers)]
    for _ in range(chance.randint(1, 4)):
        number = chance.randrange(len(parts))
        part = bytearray(parts[number])
        at = chance.randint(0, len(part))
        part[at : at + chance.choice([0, 1, 4])] = chance.randbytes(chance.choice([0, 1, 2, 50]))
        parts[number] = bytes(part)
    names = [name for name, _ in headers]
    changed = [
        (name, None if chance.random() < 0.02 else value)
        for name, value in zip(names, parts[2:], strict=True)
        if chance.random() > 0.02
    ]
    return parts[0], parts[1], changed
