import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from uuid import uuid4

import pytest

from passbook.client import BankUnreachable, OutcomeUnknown, PassbookClient
from passbook.config import Settings
from passbook.domain.commands import CloseAccount, DepositMoney, OpenAccount
from passbook.domain.slots import slot_of
from passbook.messaging.reader import TopicReader
from passbook.messaging.topics import TopicMismatch, Topics
from tests.support.blocked import run_blocked
from tests.support.servers import Servers
from tests.support.topics import PARTITIONS

DEPOSIT = Decimal("20.00")


@pytest.fixture
async def client(deciding: Settings) -> AsyncIterator[PassbookClient]:
    async with PassbookClient(deciding.kafka, deciding.topics) as client:
        yield client


async def test_commands_are_carried_out_in_order_and_answered(client: PassbookClient) -> None:
    account_id = uuid4()
    opening = await client.execute(OpenAccount(account_id, "Ada", Decimal("100.00")))
    assert opening.accepted
    assert (opening.account_id, opening.version, len(opening.events)) == (account_id, 1, 1)
    deposits = await asyncio.gather(
        *(client.execute(DepositMoney(account_id, DEPOSIT)) for _ in range(20))
    )
    assert [deposit.version for deposit in deposits] == list(range(2, 22))


async def test_rejection_carries_code_and_message(client: PassbookClient) -> None:
    account_id = uuid4()
    outcome = await client.execute(CloseAccount(account_id))
    assert not outcome.accepted
    assert outcome.error is not None
    assert outcome.error.code == "account_not_found"
    assert outcome.error.message == f"Account {account_id} not found"


async def test_repeated_command_is_answered_again_also_to_another_client(
    client: PassbookClient, deciding: Settings
) -> None:
    command = OpenAccount(uuid4(), "Ada", Decimal("100.00"))
    command_id = uuid4()
    first = await client.execute(command, command_id=command_id)
    assert await client.execute(command, command_id=command_id) == first
    async with PassbookClient(deciding.kafka, deciding.topics) as other:
        assert await other.execute(command, command_id=command_id) == first


async def test_other_content_under_the_same_id_is_a_conflict(client: PassbookClient) -> None:
    command_id = uuid4()
    opened = OpenAccount(uuid4(), "Ada", Decimal("100.00"))
    await client.execute(opened, command_id=command_id)
    other = OpenAccount(opened.account_id, "Ada", Decimal("100.01"))
    outcome = await client.execute(other, command_id=command_id)
    assert outcome.error is not None
    assert outcome.error.code == "idempotency_conflict"


async def test_thousands_of_outstanding_commands_each_get_their_own_outcome(
    client: PassbookClient,
) -> None:
    accounts = [uuid4() for _ in range(3000)]
    outcomes = await asyncio.gather(
        *(client.execute(OpenAccount(one, "Ada", Decimal("100.00"))) for one in accounts)
    )
    assert [outcome.account_id for outcome in outcomes] == accounts
    assert all(outcome.accepted for outcome in outcomes)


async def test_silence_is_unknown_and_names_the_command(servers: Servers, topics: Topics) -> None:
    command_id = uuid4()
    async with PassbookClient(servers.kafka_bootstrap, topics) as client:
        with pytest.raises(OutcomeUnknown) as failure:
            await client.execute(CloseAccount(uuid4()), command_id=command_id, timeout=0.2)
    assert failure.value.command_id == command_id


async def test_command_goes_where_the_account_lives(servers: Servers, topics: Topics) -> None:
    accounts = [uuid4() for _ in range(20)]
    async with PassbookClient(servers.kafka_bootstrap, topics) as client:
        for account_id in accounts:
            await client.send(CloseAccount(account_id))
    reader = TopicReader(
        servers.kafka_bootstrap, topics.commands, partitions=PARTITIONS, client_id="tests"
    )
    found: dict[str, int] = {}
    async with reader, asyncio.timeout(10):
        while len(found) < len(accounts):
            for partition, records in (await reader.poll(1.0)).items():
                found |= {record.key.decode(): partition for record in records}
    assert found == {str(one): slot_of(one) % PARTITIONS for one in accounts}


async def test_missing_topics_are_said_so(servers: Servers) -> None:
    with pytest.raises(TopicMismatch, match=r"no-such\.outcomes; create it with"):
        async with PassbookClient(servers.kafka_bootstrap, Topics("no-such.")):
            pass


@pytest.mark.parametrize("partitions", [PARTITIONS // 2, PARTITIONS * 2])
async def test_other_number_of_partitions_is_refused(
    servers: Servers, topics: Topics, partitions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("passbook.messaging.reader._START_TIMEOUT_S", 1.0)
    with pytest.raises(TopicMismatch, match=f"4 partitions, expected {partitions}"):
        async with PassbookClient(servers.kafka_bootstrap, Topics(topics.prefix, partitions)):
            pass


async def test_no_broker_is_unreachable() -> None:
    with pytest.raises(BankUnreachable):
        async with PassbookClient("127.0.0.1:1"):
            pass


async def test_it_works_where_nothing_but_its_three_libraries_is_installed(
    deciding: Settings,
) -> None:
    program = """
import asyncio
from passbook.client import PassbookClient, Topics

async def use(bootstrap, prefix, partitions):
    async with PassbookClient(bootstrap, Topics(prefix, int(partitions))) as bank:
        print((await bank.open_account("Ada", "100.00")).version)
        async with bank.subscribe(group="readers"):
            pass

asyncio.run(use(*sys.argv[1:]))
"""
    topics = deciding.topics
    ended = await run_blocked(program, str(deciding.kafka), topics.prefix, str(topics.partitions))
    assert ended == (0, "1\n", "")
