import asyncio
import subprocess
import sys
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from passbook.client import OutcomeUnknown, PassbookClient
from passbook.domain.commands import CloseAccount, DepositMoney, OpenAccount
from passbook.domain.errors import MalformedValue
from passbook.domain.slots import slot_of
from passbook.messaging.commands import CommandMessage, decode, encode
from tests.support.until import until
from tests.unit.client.fake_bank import FakeBank

ACCOUNT = UUID("0199d5d0-0000-7000-8000-000000000001")
DEPOSIT = DepositMoney(ACCOUNT, Decimal("20.00"), "salary")


def content_hash(command: DepositMoney, command_id: UUID) -> bytes:
    message = decode(*encode(command, command_id=command_id, source="/test", time=""))
    assert isinstance(message, CommandMessage)
    return message.request_hash


async def test_accepted_command_returns_its_outcome(client: PassbookClient, bank: FakeBank) -> None:
    outcome = await client.execute(DEPOSIT, actor="ada")
    assert outcome.accepted
    assert (outcome.account_id, outcome.version) == (ACCOUNT, 7)
    ((partition, message),) = bank.published
    assert partition == slot_of(ACCOUNT) % 16
    assert message.command == DEPOSIT
    assert message.command_id == outcome.command_id
    assert message.context == {"actor": "ada"}


async def test_rejection_is_an_outcome_and_no_exception(
    client: PassbookClient, bank: FakeBank
) -> None:
    bank.silent = True
    command_id = uuid4()
    waiting = asyncio.create_task(client.execute(DEPOSIT, command_id=command_id))
    await until(lambda: len(bank.published) == 1)
    bank.answer(uuid4(), ACCOUNT)
    bank.answer(command_id, ACCOUNT, "insufficient_funds")
    outcome = await waiting
    assert not outcome.accepted
    assert outcome.to_dict() == {
        "command_id": str(command_id),
        "account_id": str(ACCOUNT),
        "outcome": "rejected",
        "version": 7,
        "events": [],
        "error": {"code": "insufficient_funds", "message": "because"},
    }


async def test_thousands_of_commands_share_requests_and_each_gets_its_outcome(
    client: PassbookClient, bank: FakeBank
) -> None:
    ids = [uuid4() for _ in range(5000)]
    outcomes = await asyncio.gather(
        *(client.execute(DEPOSIT, command_id=command_id) for command_id in ids)
    )
    assert [outcome.command_id for outcome in outcomes] == ids
    assert [message.command_id for _, message in bank.published] == ids
    assert len(bank.batches) < 10


async def test_no_answer_in_time_names_the_command_and_asking_again_is_answered(
    client: PassbookClient, bank: FakeBank
) -> None:
    bank.silent = True
    command_id = uuid4()
    with pytest.raises(OutcomeUnknown, match="the same command id is safe") as failure:
        await client.execute(DEPOSIT, command_id=command_id, timeout=0.01)
    assert failure.value.command_id == command_id
    bank.silent = False
    outcome = await client.execute(DEPOSIT, command_id=failure.value.command_id)
    assert outcome.command_id == command_id


async def test_two_who_wait_for_the_same_command_both_get_the_outcome(
    client: PassbookClient, bank: FakeBank
) -> None:
    bank.silent = True
    command_id = uuid4()
    both = [asyncio.create_task(client.execute(DEPOSIT, command_id=command_id)) for _ in range(2)]
    await until(lambda: len(bank.published) == 2)
    bank.answer(command_id, ACCOUNT)
    assert [(await one).accepted for one in both] == [True, True]


async def test_nobody_is_told_that_something_was_accepted_which_never_ran(
    client: PassbookClient, bank: FakeBank
) -> None:
    """Two use one id at the same time, with different content. Fails (both are accepted) when
    `_deliver` does not compare the hashes.
    """
    bank.silent = True
    command_id = uuid4()
    other = DepositMoney(ACCOUNT, Decimal("21.00"), "salary")
    first = asyncio.create_task(client.execute(DEPOSIT, command_id=command_id))
    await until(lambda: len(bank.published) == 1)
    second = asyncio.create_task(client.execute(other, command_id=command_id))
    await until(lambda: len(bank.published) == 2)
    bank.answer(command_id, ACCOUNT)
    bank.answer(command_id, ACCOUNT, "idempotency_conflict", content_hash(other, command_id))
    assert (await first).accepted
    assert not (await second).accepted


async def test_conflict_over_the_id_is_the_answer_to_the_content_it_is_about(
    client: PassbookClient, bank: FakeBank
) -> None:
    """Fails (the first answer is taken by both) when `_deliver` does not compare the hashes."""
    bank.silent = True
    command_id = uuid4()
    other = DepositMoney(ACCOUNT, Decimal("21.00"), "salary")
    first = asyncio.create_task(client.execute(DEPOSIT, command_id=command_id))
    await until(lambda: len(bank.published) == 1)
    bank.answer(command_id, ACCOUNT, "idempotency_conflict", content_hash(other, command_id))
    bank.answer(command_id, ACCOUNT)
    assert (await first).accepted
    second = asyncio.create_task(client.execute(other, command_id=command_id))
    await until(lambda: len(bank.published) == 2)
    bank.answer(command_id, ACCOUNT, "idempotency_conflict", content_hash(other, command_id))
    refused = (await second).error
    assert refused is not None
    assert refused.code == "idempotency_conflict"


async def test_failed_publication_is_unknown_and_the_next_one_has_a_new_producer(
    client: PassbookClient, bank: FakeBank
) -> None:
    bank.broken = 1
    with pytest.raises(OutcomeUnknown, match="broken"):
        await client.execute(DEPOSIT)
    assert (await client.execute(DEPOSIT)).accepted
    assert bank.producers == 2


async def test_what_was_not_sent_when_a_batch_failed_goes_out_with_the_next_one(
    client: PassbookClient, bank: FakeBank
) -> None:
    bank.broken = 1
    bank.gate.clear()
    first = asyncio.create_task(client.execute(DEPOSIT))
    await until(lambda: bank.requests == 1)
    later = [asyncio.create_task(client.execute(DEPOSIT)) for _ in range(3)]
    await asyncio.sleep(0)  # they post while the first one is on its way
    bank.gate.set()
    with pytest.raises(OutcomeUnknown, match="broken"):
        await first
    assert all([(await one).accepted for one in later])


async def test_send_does_not_wait_for_the_outcome(client: PassbookClient, bank: FakeBank) -> None:
    bank.silent = True
    command_id = await client.send(CloseAccount(ACCOUNT))
    assert [message.command_id for _, message in bank.published] == [command_id]


async def test_reader_that_was_lost_is_opened_again_and_misses_nothing(
    client: PassbookClient, bank: FakeBank
) -> None:
    bank.lose_reader()
    assert (await client.execute(DEPOSIT)).accepted
    assert bank.tail_starts == 2


async def test_records_that_are_no_outcomes_are_passed_over(
    client: PassbookClient, bank: FakeBank
) -> None:
    bank.silent = True
    command_id = uuid4()
    waiting = asyncio.create_task(client.execute(DEPOSIT, command_id=command_id))
    await until(lambda: len(bank.published) == 1)
    name = ("ce_commandid", str(command_id).encode())
    for value in (b"", b"[]", b"{}", b'{"account_id":1,"error":null}'):
        bank.publish(None, value, [name])
    bank.answer(command_id, ACCOUNT)
    assert (await waiting).accepted


@pytest.mark.parametrize(
    "command",
    [
        DepositMoney(ACCOUNT, Decimal("1E+3")),
        DepositMoney(ACCOUNT, Decimal("0.005")),
        OpenAccount(ACCOUNT, "", Decimal("100.00")),
        OpenAccount(ACCOUNT, "\ud800", Decimal("100.00")),
        CloseAccount(ACCOUNT, expected_version=-1),
    ],
)
async def test_command_that_nobody_would_understand_is_not_sent(
    client: PassbookClient, bank: FakeBank, command: DepositMoney | OpenAccount | CloseAccount
) -> None:
    with pytest.raises(MalformedValue):
        await client.execute(command)
    assert not bank.published


async def test_whoever_waits_when_the_client_is_closed_is_told(bank: FakeBank) -> None:
    bank.silent = True
    async with PassbookClient("unused") as client:
        waiting = asyncio.create_task(client.execute(DEPOSIT))
        await until(lambda: len(bank.published) == 1)
    with pytest.raises(OutcomeUnknown, match="closed"):
        await waiting


async def test_exception_of_the_block_is_not_wrapped(bank: FakeBank) -> None:
    with pytest.raises(KeyError):
        async with PassbookClient("unused"):
            raise KeyError(bank.producers)


def test_import_needs_no_database_driver() -> None:
    program = "import sys, passbook.client; sys.exit('asyncpg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
