"""The contract suffices: Kafka's own console tools, with topics, headers and messages taken from
the committed AsyncAPI document and from nowhere else.
"""

import json
from pathlib import Path
from typing import Final
from uuid import uuid4

from tests.support.console import Console
from tests.support.contract import Contract
from tests.support.world import COMMAND_SERVICE, RELAY, World

_STORY: Final[tuple[tuple[str, dict[str, str], str, str | None], ...]] = (
    ("OpenAccount.v1", {"initial_deposit": "500.00"}, "CommandAccepted", "AccountOpened.v1"),
    ("DepositMoney.v1", {"amount": "200"}, "CommandAccepted", "MoneyDeposited.v2"),
    ("WithdrawMoney.v1", {"amount": "50.00"}, "CommandAccepted", "MoneyWithdrawn.v1"),
    ("WithdrawMoney.v1", {"amount": "1000.00"}, "CommandRejected", None),
    ("FreezeAccount.v1", {}, "CommandAccepted", "AccountFrozen.v1"),
    ("CloseAccount.v1", {}, "CommandAccepted", "AccountClosed.v1"),
)
"""Message, fields, outcome, event."""


async def test_the_console_producer_and_consumer_of_kafka_need_only_the_document(
    world: World, tmp_path: Path
) -> None:
    """Seen to fail: with another `ce_specversion` in the examples of the document."""
    contract, account = Contract(world.topics.prefix), str(uuid4())
    console = await Console.installed(tmp_path / "console", world.kafka)
    commands = [contract.command(name, account, **fields) for name, fields, _, _ in _STORY]
    await world.run(COMMAND_SERVICE, RELAY)
    await console.publish(contract.topic("commands"), commands)

    outcomes = await console.read(contract.topic("outcomes"), len(_STORY))
    for sent, outcome, (name, _, kind, _) in zip(commands, outcomes, _STORY, strict=True):
        contract.check(kind, outcome.headers, json.loads(outcome.value))
        assert outcome.key == account
        asked = sent.headers[contract.id_header(name)]
        assert outcome.headers[contract.id_header(kind)] == asked

    happened = [event for *_, event in _STORY if event]
    events = await console.read(contract.topic("events"), len(happened))
    for version, (event, name) in enumerate(zip(events, happened, strict=True), start=1):
        contract.check(name, event.headers, json.loads(event.value))
        assert event.key == event.headers["ce_subject"] == account
        assert event.headers["ce_version"] == str(version)
    assert json.loads(events[-1].value)["closing_balance"] == "650.00"
