"""Every example fits the schema it stands by, and is read by the code that reads the real thing."""

from decimal import Decimal
from typing import Any, Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from passbook.client import Outcome
from passbook.contracts.asyncapi import asyncapi_document
from passbook.contracts.documents import message_documents
from passbook.contracts.examples import (
    Example,
    command_examples,
    event_examples,
    outcome_examples,
)
from passbook.contracts.schemas import message_schemas
from passbook.domain.commands import DepositMoney
from passbook.domain.events import EVENT_TYPES
from passbook.messaging import commands, events
from passbook.messaging.commands import CommandMessage
from tests.acceptance.hostile import attacks
from tests.support.messages import ACCOUNT, message
from tests.support.outsider import Message

_SCHEMAS: Final = message_schemas()
_MESSAGES: Final = asyncapi_document()["components"]["messages"]
_UNSAID: Final = (
    *("twice", "two ", "escaped"),  # a field or a header is there twice
    *("of another account", "ce_subject"),  # key, subject and data name different accounts
    *("1.0", "line feed", "\\n"),  # to Python 1.0 is an integer, and `$` matches before a line feed
    *("\\xed", "\\xff", "not UTF-8"),  # shown with replacement characters, which are allowed
    "2 MB",
)
"""Parts of the names of attacks that fit the schemas all the same."""
_EXAMPLES: Final = {**command_examples(), **event_examples(), **outcome_examples()}


@pytest.mark.parametrize("name", _EXAMPLES)
def test_the_example_of_a_message_fits_its_headers_key_and_data(name: str) -> None:
    described = _MESSAGES[name]
    (example,) = described["examples"]
    assert example["headers"] == _EXAMPLES[name].headers
    _valid(example["headers"], described["headers"])
    _valid(example["payload"], _SCHEMAS[described["payload"]["$ref"].rpartition("/")[2]])
    _valid(_EXAMPLES[name].key, described["bindings"]["kafka"]["key"])


@pytest.mark.parametrize("name", sorted(set(message_documents()) - {"asyncapi.json"}))
def test_the_examples_in_a_schema_fit_it_wherever_they_are(name: str) -> None:
    document = message_documents()[name]
    assert document["examples"]
    for schema in _with_examples(document):
        for example in schema["examples"]:
            _valid(example, schema)


@pytest.mark.parametrize("name", command_examples())
def test_the_example_of_a_command_is_understood(name: str) -> None:
    decoded = commands.decode(*_record(command_examples()[name]))
    assert isinstance(decoded, CommandMessage)
    assert f"{type(decoded.command).__name__}.v1" == name
    assert decoded.context == {"actor": "zoe"}


@pytest.mark.parametrize("name", event_examples())
def test_the_example_of_an_event_is_read_as_its_newest_version(name: str) -> None:
    example = event_examples()[name]
    event = events.decode(*_record(example)).decode()
    assert type(event) is EVENT_TYPES[name.partition(".")[0]]
    assert event.data.items() >= example.payload.items()


@pytest.mark.parametrize("name", outcome_examples())
def test_the_example_of_an_outcome_is_read(name: str) -> None:
    example = outcome_examples()[name]
    outcome = Outcome.from_json(orjson.dumps(example.payload))
    assert outcome.accepted is (name == "CommandAccepted")
    assert outcome.to_dict() == example.payload
    assert str(outcome.command_id) == example.headers["ce_commandid"]


def test_the_schemas_refuse_what_is_no_command_as_far_as_schemas_can() -> None:
    """Whatever is listed here costs its sender a rejection that the document could not foresee."""
    fitting = {attack.name for attack in attacks(ACCOUNT) if _fits(attack.message)}
    assert {name for name in fitting if not any(part in name for part in _UNSAID)} == set()


@given(st.text("0123456789.-+eE_ \u0661\uff11", max_size=18))
def test_an_amount_fits_the_schema_exactly_when_it_is_understood(text: str) -> None:
    decoded = commands.decode(*message(data={"amount": text}))
    schema = _SCHEMAS["DepositMoney.v1"]["properties"]["amount"]
    assert isinstance(decoded, CommandMessage) is Draft202012Validator(schema).is_valid(text)


@given(
    st.from_regex(
        _SCHEMAS["AccountClosed.v1"]["properties"]["closing_balance"]["pattern"][:-1] + r"\Z"
    )
)
def test_what_we_send_for_money_is_read_by_us(text: str) -> None:
    decoded = commands.decode(*message(data={"amount": text}))
    assert isinstance(decoded, CommandMessage)
    assert isinstance(decoded.command, DepositMoney)
    assert decoded.command.amount == Decimal(text)


def test_a_schema_lets_nothing_be_added_to_a_command() -> None:
    for name in command_examples():
        with pytest.raises(ValidationError, match="Additional properties"):
            _valid({**command_examples()[name].payload, "currency": "EUR"}, _SCHEMAS[name])


def _fits(message: Message) -> bool:
    """Tell whether headers and data fit the schemas of the command that the headers name."""
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in message.headers}
    described = _MESSAGES.get(headers.get("ce_type", "").removeprefix("bank.") + ".v1")
    try:
        data = orjson.loads(message.value or b"")
    except orjson.JSONDecodeError:
        return False
    if described is None or not Draft202012Validator(described["headers"]).is_valid(headers):
        return False
    key = None if message.key is None else message.key.decode("utf-8", "replace")
    if not Draft202012Validator(described["bindings"]["kafka"]["key"]).is_valid(key):
        return False
    schema = _SCHEMAS[described["payload"]["$ref"].rpartition("/")[2]]
    return bool(Draft202012Validator(schema).is_valid(data))


def _record(example: Example) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    headers = [(name, text.encode()) for name, text in example.headers.items()]
    return example.key.encode(), orjson.dumps(example.payload), headers


def _valid(instance: Any, schema: Any) -> None:
    Draft202012Validator(schema).validate(instance)


def _with_examples(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, list):
        return [found for one in node for found in _with_examples(one)]
    if not isinstance(node, dict):
        return []
    own = [node] if isinstance(node.get("examples"), list) else []
    return own + [
        found for key, one in node.items() if key != "examples" for found in _with_examples(one)
    ]
