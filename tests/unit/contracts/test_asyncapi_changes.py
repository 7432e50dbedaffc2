"""Which change of the AsyncAPI document breaks whoever speaks to the bank through Kafka."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

import pytest

from passbook.contracts.asyncapi import asyncapi_document
from passbook.contracts.asyncapi_changes import compare_asyncapi

Edit = Callable[[dict[str, Any]], object]
_CONFIG: Final = "topicConfiguration"


def _topic(document: dict[str, Any], channel: str) -> dict[str, Any]:
    topic: dict[str, Any] = document["channels"][channel]["bindings"]["kafka"]
    return topic


def _headers(document: dict[str, Any], message: str) -> dict[str, Any]:
    headers: dict[str, Any] = document["components"]["messages"][message]["headers"]
    return headers


def _schema(document: dict[str, Any], name: str) -> dict[str, Any]:
    schema: dict[str, Any] = document["components"]["schemas"][name]
    return schema


def _add_event(document: dict[str, Any]) -> None:
    messages = document["components"]["messages"]
    messages["MoneyDeposited.v3"] = messages["MoneyDeposited.v2"]
    reference = {"$ref": "#/channels/events/messages/MoneyDeposited.v3"}
    document["channels"]["events"]["messages"]["MoneyDeposited.v3"] = {
        "$ref": "#/components/messages/MoneyDeposited.v3"
    }
    document["operations"]["sendEvents"]["messages"].append(reference)


BREAKING: Final[dict[str, Edit]] = {
    "a channel is gone": lambda d: d["channels"].pop("outcomes"),
    "a topic has another name": lambda d: d["channels"]["events"].update(address="bank.log"),
    "a topic has other partitions": lambda d: _topic(d, "events").update(partitions=8),
    "events are not kept for ever": lambda d: _topic(d, "events")[_CONFIG].update(
        {"retention.ms": 604800000}
    ),
    "outcomes are kept shorter": lambda d: _topic(d, "outcomes")[_CONFIG].update(
        {"retention.ms": 1000}
    ),
    "smaller commands are taken": lambda d: _topic(d, "commands")[_CONFIG].update(
        {"max.message.bytes": 1000}
    ),
    "events are compacted": lambda d: _topic(d, "events")[_CONFIG].update(
        {"cleanup.policy": ["compact"]}
    ),
    "a command is gone": lambda d: d["channels"]["commands"]["messages"].pop("CloseAccount.v1"),
    "an event is sent no more": lambda d: d["operations"]["sendEvents"]["messages"].pop(),
    "an operation is gone": lambda d: d["operations"].pop("sendOutcomes"),
    "an operation goes the other way": lambda d: d["operations"]["sendEvents"].update(
        action="receive"
    ),
    "commands get no reply": lambda d: d["operations"]["receiveCommands"].pop("reply"),
    "a command needs one header more": lambda d: _headers(d, "DepositMoney.v1")["required"].append(
        "ce_actor"
    ),
    "a header of a command has a pattern": lambda d: _headers(d, "DepositMoney.v1")["properties"][
        "ce_source"
    ].update(pattern="^/"),
    "a header of an event may be missing": lambda d: _headers(d, "MoneyDeposited.v2")[
        "required"
    ].remove("ce_slotseq"),
    "a header of an event is gone": lambda d: _headers(d, "MoneyDeposited.v2")["properties"].pop(
        "ce_commandid"
    ),
    "an event has another type": lambda d: _headers(d, "MoneyDeposited.v2")["properties"][
        "ce_type"
    ].update(const="bank.Deposited"),
    "a command takes shorter text": lambda d: _schema(d, "FreezeAccount.v1")["properties"][
        "reason"
    ].update(maxLength=100),
    "a command needs one field more": lambda d: _schema(d, "DepositMoney.v1")["required"].append(
        "reference"
    ),
    "a field of an event is gone": lambda d: _schema(d, "MoneyDeposited.v2")["properties"].pop(
        "reference"
    ),
    "a field of an event may be longer": lambda d: _schema(d, "MoneyDeposited.v2")["properties"][
        "reference"
    ].update(maxLength=1000),
    "an outcome may be something else": lambda d: _schema(d, "Outcome.v1")["properties"]["outcome"][
        "enum"
    ].append("pending"),
    "data are no JSON": lambda d: d["components"]["messages"]["MoneyDeposited.v2"].update(
        contentType="application/avro"
    ),
    "an answer is found otherwise": lambda d: d["components"]["messages"]["CommandAccepted"].update(
        correlationId={"location": "$message.header#/ce_id"}
    ),
    "the key is something else": lambda d: d["components"]["messages"]["DepositMoney.v1"][
        "bindings"
    ]["kafka"]["key"].update(pattern="^[0-9]+$"),
    "another version of AsyncAPI": lambda d: d.update(asyncapi="4.0.0"),
    "something unknown": lambda d: d.update(servers={}),
}

ADDITIVE: Final[dict[str, Edit]] = {
    "a channel more": lambda d: d["channels"].update(more={"address": "bank.more"}),
    "an event more": _add_event,
    "an operation more": lambda d: d["operations"].update(more={"action": "send"}),
    "outcomes are kept longer": lambda d: _topic(d, "outcomes")[_CONFIG].update(
        {"retention.ms": -1}
    ),
    "larger commands are taken": lambda d: _topic(d, "commands")[_CONFIG].update(
        {"max.message.bytes": 8388608}
    ),
    "a setting more": lambda d: _topic(d, "commands")[_CONFIG].update({"retention.bytes": -1}),
    "a header more": lambda d: _headers(d, "MoneyDeposited.v2")["properties"].update(
        ce_more={"type": "string"}
    ),
    "a field of an event more": lambda d: _schema(d, "MoneyDeposited.v2")["properties"].update(
        more={"type": "string"}
    ),
    "a field of an event more that is always there": lambda d: (
        _schema(d, "MoneyDeposited.v2")["properties"].update(more={"type": "string"}),
        _schema(d, "MoneyDeposited.v2")["required"].append("more"),
    ),
    "a field of a command more": lambda d: _schema(d, "DepositMoney.v1")["properties"].update(
        more={"type": "string"}
    ),
    "a command takes longer text": lambda d: _schema(d, "FreezeAccount.v1")["properties"][
        "reason"
    ].update(maxLength=1000),
    "a command needs one field less": lambda d: _schema(d, "FreezeAccount.v1")["required"].remove(
        "reason"
    ),
    "a field of an event is shorter": lambda d: _schema(d, "MoneyDeposited.v2")["properties"][
        "reference"
    ].update(maxLength=10),
    "we read in another group": lambda d: d["operations"]["receiveCommands"]["bindings"][
        "kafka"
    ].update(groupId={"const": "other"}),
    "other words": lambda d: d["info"].update(description="other"),
    "other words about a message": lambda d: d["components"]["messages"]["DeadLetter"].update(
        summary="other"
    ),
}


@pytest.mark.parametrize("case", BREAKING)
def test_whoever_relied_on_it_is_broken(case: str) -> None:
    assert "breaking" in _kinds(BREAKING[case])


@pytest.mark.parametrize("case", ADDITIVE)
def test_what_is_added_breaks_nobody(case: str) -> None:
    assert _kinds(ADDITIVE[case]) == {"additive"}


def test_the_same_document_has_no_changes() -> None:
    assert compare_asyncapi(asyncapi_document(), asyncapi_document()) == []


def _kinds(edit: Edit) -> set[str]:
    old = asyncapi_document()
    new = deepcopy(old)
    edit(new)
    return {change.kind for change in compare_asyncapi(old, new)}
