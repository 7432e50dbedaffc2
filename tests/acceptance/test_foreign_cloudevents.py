"""The SDK of CloudEvents and we understand each other: what it writes to Kafka is decided, and what
we write it reads, with every attribute valid.
"""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aiokafka import ConsumerRecord
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from jsonschema import Draft202012Validator

from tests.support.contract import Contract
from tests.support.outsider import Message, header
from tests.support.until import until
from tests.support.world import COMMAND_SERVICE, RELAY, World, at_least

_FORMAT = JSONFormat()


async def test_the_sdk_publishes_commands_and_reads_outcomes_and_events(world: World) -> None:
    """Seen to fail: with the header `ce_slot_seq` instead of `ce_slotseq` the SDK refuses our events."""
    await world.run(COMMAND_SERVICE, RELAY)
    account = str(uuid4())
    commands = [
        _command("OpenAccount", account, owner_name="Zoë", initial_deposit="500.00"),
        _command("DepositMoney", account, amount="20", reference="salary"),
        _command("WithdrawMoney", account, amount="520.01"),
        _command("FreezeAccount", account, reason="court order"),
        _command("CloseAccount", account),
    ]
    await world.outsider.send(*map(_binary, commands))

    decided = await world.outsider.outcomes(command.get_id() for command in commands)
    outcomes = {command_id: _read(*records) for command_id, records in decided.items()}
    assert [outcomes[command.get_id()].get_type() for command in commands] == [
        "bank.CommandAccepted",
        "bank.CommandAccepted",
        "bank.CommandRejected",
        "bank.CommandAccepted",
        "bank.CommandAccepted",
    ]
    for command in commands:
        outcome = outcomes[command.get_id()]
        assert outcome.get_subject() == outcome.get_extension("partitionkey") == account
        assert outcome.get_extension("commandid") == _data(outcome)["command_id"]
        assert outcome.get_extension("actor") == "zoe"

    async with world.outsider.watched("events") as published:
        await until(at_least(published, 4))
    events = [_read(record) for record in await world.outsider.everything("events")]
    assert [event.get_type() for event in events] == [
        "bank.AccountOpened",
        "bank.MoneyDeposited",
        "bank.AccountFrozen",
        "bank.AccountClosed",
    ]
    for version, event in enumerate(events, start=1):
        assert event.get_subject() == event.get_extension("partitionkey") == account
        assert event.get_extension("version") == str(version)
        assert event.get_extension("correlationid") == "a conversation"
        assert _data(event)["account_id"] == account


async def test_a_command_in_structured_mode_is_set_aside_with_the_reason(world: World) -> None:
    """The contract has binary mode only; nothing is decided on what is said elsewhere."""
    await world.run(COMMAND_SERVICE)
    account = str(uuid4())
    command = _command("OpenAccount", account, owner_name="Zoë", initial_deposit="500.00")
    structured = to_structured(command, _FORMAT)
    await world.outsider.send(
        Message(account.encode(), structured.value, list(structured.headers.items()))
    )
    letter = await world.outsider.first("commands.dlq", lambda letter: letter.value is not None)
    assert header(letter, "dlq-error") == "ce_id: must be a UUID, not none"
    described = Contract().message("DeadLetter")["headers"]
    headers = {name: value.decode() for name, value in letter.headers}
    Draft202012Validator(described).validate(headers)
    assert from_kafka(_message(letter), _FORMAT).get_id() == command.get_id()


def _command(kind: str, account: str, **data: str) -> CloudEvent:
    return CloudEvent(
        {
            "id": str(uuid4()),
            "source": "/a/shop",
            "type": f"bank.{kind}",
            "specversion": "1.0",
            "datacontenttype": "application/json",
            "subject": account,
            "time": datetime.now(UTC),
            "partitionkey": account,
            "schemaversion": "1",
            "correlationid": "a conversation",
            "actor": "zoe",
        },
        {"account_id": account, **data},
    )


def _binary(command: CloudEvent) -> Message:
    message = to_binary(command, _FORMAT)
    assert isinstance(message.key, str)
    return Message(message.key.encode(), message.value, list(message.headers.items()))


def _message(record: ConsumerRecord) -> KafkaMessage:
    return KafkaMessage(dict(record.headers), record.key, record.value)


def _read(record: ConsumerRecord) -> BaseCloudEvent:
    """What the SDK reads, which refuses an attribute that is not valid, and writes as it was."""
    event = from_kafka(_message(record), _FORMAT)
    assert isinstance(event, CloudEvent)
    again = to_binary(event, _FORMAT).headers
    del again["ce_partitionkey"]
    moment = again.pop("ce_time")
    mine = {name: value for name, value in record.headers if name != "traceparent"}
    assert datetime.fromisoformat(moment.decode()) == datetime.fromisoformat(
        mine.pop("ce_time").decode()
    )
    assert again == mine
    assert event.get_datacontenttype() == "application/json"
    return event


def _data(event: BaseCloudEvent) -> dict[str, Any]:
    data = event.get_data()
    assert isinstance(data, dict), json.dumps(data)
    return data
