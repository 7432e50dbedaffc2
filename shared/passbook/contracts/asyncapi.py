"""The AsyncAPI 3.1 document: the topics, who writes what into them, and what it looks like.

Operations are told from the bank's side: what it receives, others send.
"""

from typing import Any, Final

from passbook.contracts.examples import (
    Example,
    command_examples,
    event_examples,
    outcome_examples,
)
from passbook.contracts.headers import (
    command_headers,
    event_headers,
    letter_headers,
    outcome_headers,
)
from passbook.contracts.schemas import (
    COMMAND_SHAPES,
    EVENT_SHAPES,
    OUTCOME,
    message_schemas,
    schema_of,
)
from passbook.messaging.command_shapes import AccountId
from passbook.messaging.topics import PROJECTIONS, Topics, TopicSpec

Document = dict[str, Any]

ASYNCAPI: Final = "3.1.0"
KAFKA_BINDING: Final = "0.5.0"
CONTRACT_VERSION: Final = "1.0.0"
"""Of the contract, not of the code: things are added to it, none is changed or taken away."""
COMMAND_GROUP: Final = "bank.command-service"

_COMMANDS: Final = "commands"
_EVENTS: Final = "events"
_OUTCOMES: Final = "outcomes"
_LETTER: Final = "DeadLetter"
_OUTCOME_TYPES: Final = ("CommandAccepted", "CommandRejected")

_ABOUT: Final = """\
A bank ledger. Others publish commands, and read outcomes and events. Every message is a CloudEvent
1.0 in Kafka's binary mode: attributes are headers, the value is the data as JSON.

Topics are named with the prefix `bank.` unless an installation has another one. The key of every
record is the account id as text. Publish commands with the default partitioner of the Java client
(murmur2 of the key); one that arrives in another partition is decided right all the same, only its
order among other commands of that account is not promised.

Fields and headers may be added: pass over those you do not know. Events and schema versions may be
added, too: whoever sums up money must stop at one that he does not know. Nothing is changed or taken
away.
"""
_CHANNELS: Final = {
    _COMMANDS: "Commands to the bank, by anybody. Each one with a usable id gets one outcome.",
    _EVENTS: "The log of what happened, kept for ever. The numbers of a slot (`ce_slot`,"
    " `ce_slotseq`) count 1, 2, 3 … in the order of the partition; a record may be repeated.",
    _OUTCOMES: "What was decided on each command. The same outcome may be published again.",
    "commands.dlq": "Copies of commands that could not be understood, with the reason.",
    **{
        f"events.{projection}.dlq": f"Copies of events that the projection `{projection}` could not"
        " apply, with the reason."
        for projection in PROJECTIONS
    },
}


def asyncapi_document() -> Document:
    """Return the document, complete in itself."""
    topics = Topics()
    messages = _messages()
    return {
        "asyncapi": ASYNCAPI,
        "info": {"title": "Passbook", "version": CONTRACT_VERSION, "description": _ABOUT},
        "defaultContentType": "application/json",
        "channels": {
            spec.name.removeprefix(topics.prefix): _channel(
                spec, spec.name.removeprefix(topics.prefix)
            )
            for spec in topics.specs()
        },
        "operations": _operations(),
        "components": {"messages": messages, "schemas": message_schemas()},
    }


def _channel(spec: TopicSpec, name: str) -> Document:
    config: dict[str, Any] = {
        key: value if key == "cleanup.policy" else int(value) for key, value in spec.config.items()
    }
    config["cleanup.policy"] = [config["cleanup.policy"]]
    return {
        "address": spec.name,
        "description": _CHANNELS[name],
        "messages": {
            message: {"$ref": f"#/components/messages/{message}"} for message in _carried(name)
        },
        "bindings": {
            "kafka": {
                "topic": spec.name,
                "partitions": spec.partitions,
                "topicConfiguration": config,
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }


def _carried(channel: str) -> list[str]:
    carried = {
        _COMMANDS: list(COMMAND_SHAPES),
        _EVENTS: list(EVENT_SHAPES),
        _OUTCOMES: list(_OUTCOME_TYPES),
    }
    return carried.get(channel, [_LETTER])


def _operations() -> Document:
    receive = _operation("receive", _COMMANDS, "Decides commands, each once.")
    receive["reply"] = {"channel": _ref("channels", _OUTCOMES)}
    receive["bindings"] = {
        "kafka": {
            "groupId": {"type": "string", "const": COMMAND_GROUP},
            "bindingVersion": KAFKA_BINDING,
        }
    }
    return {
        "receiveCommands": receive,
        "sendEvents": _operation("send", _EVENTS, "Publishes the log, in its order."),
        "sendOutcomes": _operation("send", _OUTCOMES, "Answers every command with a usable id."),
        "sendCommandLetters": _operation(
            "send", "commands.dlq", "Sets aside what could not be understood."
        ),
        **{
            f"send{projection.capitalize()}Letters": _operation(
                "send", f"events.{projection}.dlq", "Sets aside what could not be applied."
            )
            for projection in PROJECTIONS
        },
    }


def _operation(action: str, channel: str, summary: str) -> Document:
    return {
        "action": action,
        "channel": _ref("channels", channel),
        "summary": summary,
        "messages": [_ref("channels", channel, "messages", name) for name in _carried(channel)],
    }


def _messages() -> Document:
    schemas = message_schemas()
    by_command, by_event, by_outcome = command_examples(), event_examples(), outcome_examples()
    messages = {}
    for name, example in by_command.items():
        headers = command_headers(example.headers["ce_type"])
        messages[name] = _message(name, schemas[name]["description"], headers, name, example)
    for name, example in by_event.items():
        version = int(example.headers["ce_schemaversion"])
        headers = event_headers(example.headers["ce_type"], version)
        messages[name] = _message(name, schemas[name]["description"], headers, name, example)
    for name, example in by_outcome.items():
        headers = outcome_headers(example.headers["ce_type"])
        summary = schemas[OUTCOME]["description"]
        messages[name] = _message(name, summary, headers, OUTCOME, example)
    messages[_LETTER] = {
        "name": _LETTER,
        "title": _LETTER,
        "summary": "A copy of a record that could not be processed: its key, value and headers.",
        "contentType": "application/octet-stream",
        "headers": letter_headers(),
    }
    return messages


def _message(name: str, summary: str, headers: Document, schema: str, example: Example) -> Document:
    # An outcome is told from a command by this header; on a command it is the message's own id.
    correlation = "ce_commandid" if "ce_commandid" in headers["properties"] else "ce_id"
    key = schema_of("Key", AccountId) | {
        "description": "The account id, as in the data.",
        "examples": [example.key],
    }
    return {
        "name": name,
        "title": name,
        "summary": summary,
        "contentType": "application/json",
        "headers": headers,
        "payload": _ref("components", "schemas", schema),
        "correlationId": {"location": f"$message.header#/{correlation}"},
        "bindings": {"kafka": {"key": key, "bindingVersion": KAFKA_BINDING}},
        "examples": [{"name": name, "headers": example.headers, "payload": example.payload}],
    }


def _ref(*path: str) -> Document:
    return {"$ref": "#/" + "/".join(path)}
