"""The headers of each kind of message: CloudEvents 1.0 attributes in Kafka's binary mode.

Every value is text in UTF-8, numbers too. Headers that are not listed are passed over.
"""

from typing import Any, Final

from passbook.domain.slots import SLOT_COUNT
from passbook.domain.text import TEXT_LENGTH
from passbook.messaging.cloudevents import JSON, SOURCE, SPECVERSION
from passbook.messaging.command_shapes import NO_CONTROLS_PATTERN, UUID_PATTERN
from passbook.messaging.commands import SCHEMA_VERSION

Schema = dict[str, Any]

_UUID: Final[Schema] = {"type": "string", "format": "uuid", "pattern": UUID_PATTERN}
_ANY_UUID: Final[Schema] = {**_UUID, "pattern": UUID_PATTERN.replace("a-f", "A-Fa-f")}
_NUMBER: Final[Schema] = {"type": "string", "pattern": "^(?:0|[1-9][0-9]*)$"}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_OUR_TIME: Final[Schema] = {
    **_TIME,
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$",
}
_TEXT: Final[Schema] = {"type": "string", "maxLength": TEXT_LENGTH, "pattern": NO_CONTROLS_PATTERN}
_SPECVERSION: Final[Schema] = {"type": "string", "const": SPECVERSION[1].decode()}
_JSON: Final[Schema] = {"type": "string", "const": JSON[1].decode()}
_SOURCE: Final[Schema] = {"type": "string", "const": SOURCE[1].decode()}

_CONTEXT: Final[dict[str, Schema]] = {
    "ce_correlationid": {
        **_TEXT,
        "description": "The conversation this belongs to: copied to all that a command causes.",
    },
    "ce_actor": {
        **_TEXT,
        "description": "Who wanted it: copied to all that a command causes.",
    },
    "traceparent": {
        "type": "string",
        "description": "W3C Trace Context: copied to all that a command causes.",
    },
}


def command_headers(kind: str) -> Schema:
    """Return the schema of the headers of a command; `kind` is its `ce_type`."""
    properties: dict[str, Schema] = {
        "ce_specversion": _SPECVERSION,
        "ce_id": {
            **_ANY_UUID,
            "description": "The command's id, chosen by the sender: the key of idempotency. The same"
            " id with the same content gets the outcome that was decided once; with other content"
            " `idempotency_conflict`.",
        },
        "ce_type": {"type": "string", "const": kind},
        "ce_source": {
            "type": "string",
            "minLength": 1,
            "format": "uri-reference",
            "description": "The sender. CloudEvents wants it; it decides nothing.",
        },
        "ce_subject": {**_UUID, "description": "The account, as in key and data."},
        "ce_time": {**_TIME, "description": "When it was sent. It decides nothing."},
        "ce_schemaversion": {
            "type": "string",
            "enum": [str(SCHEMA_VERSION)],
            "description": "The version of the data's schema; without it the newest.",
        },
        "content-type": {"type": "string", "description": "`application/json`, or left out."},
        **_CONTEXT,
    }
    return _headers(properties, "ce_specversion", "ce_id", "ce_type", "ce_source")


def event_headers(kind: str, schema_version: int) -> Schema:
    """Return the schema of the headers of an event; `kind` is its `ce_type`."""
    properties: dict[str, Schema] = {
        "ce_specversion": _SPECVERSION,
        "ce_id": {**_UUID, "description": "The event's id."},
        "ce_type": {"type": "string", "const": kind},
        "ce_source": _SOURCE,
        "ce_subject": {**_UUID, "description": "The account, as in the key."},
        "ce_time": {**_OUR_TIME, "description": "When it happened."},
        "ce_recordedtime": {**_OUR_TIME, "description": "When it was written to the log."},
        "content-type": _JSON,
        "ce_slot": {
            **_NUMBER,
            "description": f"The slot of the account, 0 to {SLOT_COUNT - 1}. A slot is always in one"
            " partition.",
        },
        "ce_slotseq": {
            **_NUMBER,
            "description": "The number in the slot: 1, 2, 3 … without a hole. Not more than the last"
            " one you have seen of the slot: a repetition, pass over it. More than one further: you"
            " have missed something.",
        },
        "ce_version": {
            **_NUMBER,
            "description": "The account's version after this event: 1, 2, 3 … without a hole.",
        },
        "ce_schemaversion": {"type": "string", "const": str(schema_version)},
        "ce_commandid": {
            **_UUID,
            "description": "The command that caused it; missing when it was none.",
        },
        **_CONTEXT,
    }
    return _headers(properties, *(set(properties) - {"ce_commandid", *_CONTEXT}))


def outcome_headers(kind: str) -> Schema:
    """Return the schema of the headers of an outcome; `kind` is its `ce_type`."""
    properties: dict[str, Schema] = {
        "ce_specversion": _SPECVERSION,
        "ce_id": {
            **_UUID,
            "description": "Made of the command's id: the same outcome has the same id, however often"
            " it is published.",
        },
        "ce_type": {"type": "string", "const": kind},
        "ce_source": _SOURCE,
        "ce_subject": {
            **_UUID,
            "description": "The account, as in the key; missing when the command did not say it.",
        },
        "ce_time": {**_OUR_TIME, "description": "When it was decided."},
        "content-type": _JSON,
        "ce_version": {**_NUMBER, "description": "As `version` in the data."},
        "ce_commandid": {**_UUID, "description": "The command that was decided."},
        "ce_requesthash": {
            "type": "string",
            "pattern": "^[0-9a-f]{32}$",
            "description": "Says which content was decided, should two senders use one id.",
        },
        **_CONTEXT,
    }
    return _headers(properties, *(set(properties) - {"ce_subject", *_CONTEXT}))


def letter_headers() -> Schema:
    """Return the schema of what a dead letter has beside the headers of the original."""
    properties: dict[str, Schema] = {
        "dlq-topic": {"type": "string", "description": "Where the original was found."},
        "dlq-partition": _NUMBER,
        "dlq-offset": _NUMBER,
        "dlq-error": {"type": "string", "description": "Why it could not be processed."},
        "dlq-failed-at": _OUR_TIME,
        "dlq-truncated": {
            **_NUMBER,
            "description": "How many bytes the original had, when only a part of it was kept.",
        },
    }
    return _headers(properties, *(set(properties) - {"dlq-truncated"}))


def _headers(properties: dict[str, Schema], *required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": sorted(required)}
