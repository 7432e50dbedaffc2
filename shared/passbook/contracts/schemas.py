"""The JSON Schemas (draft 2020-12) of commands, events and the outcome, made of their shapes."""

from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from passbook.contracts.shapes import EVENTS, OutcomeData
from passbook.domain.commands import Command
from passbook.messaging.command_shapes import SHAPES
from passbook.messaging.commands import SCHEMA_VERSION

Schema = dict[str, Any]

OUTCOME: Final = "Outcome.v1"


class _Plain(GenerateJsonSchema):
    """Without the titles that only repeat the name of a field."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def command_name(command: type[Command]) -> str:
    """Return the name of a command's shape: `DepositMoney.v1`."""
    return f"{command.__name__}.v{SCHEMA_VERSION}"


def event_name(event_type: str, schema_version: int) -> str:
    """Return the name of the shape of an event's data: `MoneyDeposited.v2`."""
    return f"{event_type}.v{schema_version}"


COMMAND_SHAPES: Final = {command_name(command): shape for command, shape in SHAPES.items()}
EVENT_SHAPES: Final = {event_name(*which): shape for which, shape in EVENTS.items()}


def schema_of(name: str, shape: Any) -> Schema:
    """Return the schema of a shape, entitled `name`, with every definition put in where it is used."""
    schema = TypeAdapter(shape).json_schema(schema_generator=_Plain)
    definitions = schema.pop("$defs", {})
    return {**_put_in(schema, definitions), "title": name}


def message_schemas() -> dict[str, Schema]:
    """Return name → schema of all that is sent and received."""
    shapes = {**COMMAND_SHAPES, **EVENT_SHAPES, OUTCOME: OutcomeData}
    return {name: schema_of(name, shape) for name, shape in shapes.items()}


def _put_in(node: Any, definitions: dict[str, Any]) -> Any:
    # None of our shapes contains itself, so this ends.
    if isinstance(node, list):
        return [_put_in(one, definitions) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        definition = definitions[node["$ref"].rpartition("/")[2]]
        return _put_in(
            {**definition, **{k: v for k, v in node.items() if k != "$ref"}}, definitions
        )
    return {key: _put_in(value, definitions) for key, value in node.items()}
