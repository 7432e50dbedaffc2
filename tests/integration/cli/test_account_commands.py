from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from passbook.config import Settings
from passbook.messaging.topics import Topics
from tests.support.program import Program


@pytest.fixture
def unheard(program: Program, topics: Topics) -> Program:
    """Give the program on topics that nobody reads."""
    return replace(
        program,
        settings={
            **program.settings,
            "PASSBOOK_TOPIC_PREFIX": topics.prefix,
            "PASSBOOK_TOPIC_PARTITIONS": str(topics.partitions),
        },
    )


@pytest.fixture
def bank(unheard: Program, deciding: Settings) -> Program:
    """Give the program on a bank that answers."""
    assert deciding.kafka
    return unheard


async def test_account_is_opened_used_and_closed(bank: Program) -> None:
    opening = await bank("account", "open", "--owner", "Ada", "--deposit", "500.00", "--json")
    assert opening.code == 0
    account_id = opening.document["account_id"]
    assert opening.document == {
        "command_id": opening.document["command_id"],
        "account_id": account_id,
        "outcome": "accepted",
        "version": 1,
        "events": opening.document["events"],
        "error": None,
    }
    assert len(opening.document["events"]) == 1
    steps = (
        ("deposit", account_id, "20.5", "--reference", "salary"),
        ("withdraw", account_id, "10", "--expected-version", "2"),
        ("freeze", account_id, "--reason", "court order"),
        ("close", account_id),
    )
    for version, step in enumerate(steps, start=2):
        assert (await bank("account", *step, "--json")).document["version"] == version
    history = (await bank("account", "history", account_id, "--json")).document
    assert [event["event_type"] for event in history] == [
        *("AccountOpened", "MoneyDeposited", "MoneyWithdrawn", "AccountFrozen", "AccountClosed")
    ]
    assert history[0]["command_id"] == opening.document["command_id"]
    assert history[1]["data"]["reference"] == "salary"


async def test_rejections_end_with_the_code_of_their_kind(bank: Program) -> None:
    account_id = uuid4()
    opening = ("account", "open", "--owner", "Ada", "--deposit", "100", "--id", account_id)
    assert (await bank(*opening)).code == 0
    for code, error, verb in (
        (3, "account_already_exists", opening),
        (3, "insufficient_funds", ("account", "withdraw", account_id, "100.01")),
        (3, "amount_not_positive", ("account", "deposit", account_id, "0")),
        (4, "account_not_found", ("account", "close", uuid4())),
        (5, "version_mismatch", ("account", "close", account_id, "--expected-version", "7")),
    ):
        ended = await bank(*verb, "--json")
        assert ended.document["error"]["code"] == error
        assert ended.code == code


async def test_asking_again_with_the_command_id_opens_one_account(bank: Program) -> None:
    """Without `--id` too: the account's id comes from the command's."""
    again = ("--command-id", uuid4(), "--json")
    opening = ("account", "open", "--owner", "Ada", "--deposit", "100.00", *again)
    first, second = await bank(*opening), await bank(*opening)
    assert first.document == second.document
    assert first.document["outcome"] == "accepted"
    other = await bank("account", "open", "--owner", "Eve", "--deposit", "100.00", *again)
    assert other.code == 5
    assert other.document["error"]["code"] == "idempotency_conflict"


async def test_no_wait_ends_when_the_command_is_sent(unheard: Program) -> None:
    account_id = uuid4()
    ended = await unheard("account", "close", account_id, "--no-wait", "--json")
    assert ended.code == 0
    assert ended.document == {
        "command_id": str(UUID(ended.document["command_id"])),
        "account_id": str(account_id),
        "outcome": None,
    }


async def test_silence_is_unavailable_and_names_the_command(unheard: Program) -> None:
    command_id = uuid4()
    ended = await unheard(
        "account", "close", uuid4(), "--timeout", "0.2", "--command-id", command_id
    )
    assert (ended.code, ended.stdout) == (69, "")
    assert str(command_id) in ended.stderr
    assert "same command id is safe" in ended.stderr
