"""All the documents, the files they are kept in, and what a new one may differ from its file in.

A contract that is out in the world is only added to. What has to change otherwise gets a new name
beside the old one: a new schema version of an event, a new command, a new route.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from passbook.contracts.asyncapi import asyncapi_document
from passbook.contracts.asyncapi_changes import compare_asyncapi
from passbook.contracts.changes import Change, Direction
from passbook.contracts.examples import command_examples, event_examples, outcome_examples
from passbook.contracts.openapi_changes import compare_openapi
from passbook.contracts.schema_changes import compare_schemas
from passbook.contracts.schemas import COMMAND_SHAPES, EVENT_SHAPES, OUTCOME, message_schemas

Documents = Mapping[str, dict[str, Any]]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ASYNCAPI_FILE: Final = "asyncapi.json"
OPENAPI_FILE: Final = "openapi.json"
_COMMANDS: Final = "schemas/commands/"
_EVENTS: Final = "schemas/events/"


class BreakingChange(ValueError):
    """A document would overwrite one that others rely on; `changes` are all, breaking ones first."""

    def __init__(self, changes: list[Change]) -> None:
        super().__init__(
            f"{changes[0]}: this would break who relies on the contract, and nothing was written;"
            " leave what is there as it is, and make a new version beside it"
        )
        self.changes = changes


def message_documents() -> dict[str, dict[str, Any]]:
    """Return path → document of all that is said about messages: AsyncAPI and every schema."""
    return {ASYNCAPI_FILE: asyncapi_document(), **_schema_files()}


def _schema_files() -> dict[str, dict[str, Any]]:
    folders = {
        **dict.fromkeys(COMMAND_SHAPES, _COMMANDS),
        **dict.fromkeys(EVENT_SHAPES, _EVENTS),
        OUTCOME: "schemas/",
    }
    outcomes = [example.payload for example in outcome_examples().values()]
    examples = {
        **{name: [one.payload] for name, one in command_examples().items()},
        **{name: [one.payload] for name, one in event_examples().items()},
        OUTCOME: outcomes,
    }
    return {
        f"{folders[name]}{name}.json": {
            "$schema": DIALECT,
            "$id": f"urn:passbook:schema:{name}",
            **schema,
            "examples": examples[name],
        }
        for name, schema in message_schemas().items()
    }


def rendered(document: Mapping[str, Any]) -> bytes:
    """Return a document as it is kept: sorted, so that a difference in the file is one in content."""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(document, option=options)


def read_documents(folder: Path) -> dict[str, dict[str, Any]]:
    """Return path → document of every JSON file in a folder and below it; none if there is none.

    Raises:
        ValueError: a file is no JSON.
    """
    found = {}
    for file in sorted(folder.rglob("*.json")):
        name = file.relative_to(folder).as_posix()
        try:
            found[name] = orjson.loads(file.read_bytes())
        except orjson.JSONDecodeError as error:
            message = f"{name}: {error}; restore it, or delete it and export anew"
            raise ValueError(message) from error
    return found


def compare_documents(old: Documents, new: Documents) -> list[Change]:
    """Return what happened to the documents, those that break somebody first."""
    changes = [Change.breaking(name, "the document is gone") for name in old.keys() - new.keys()]
    changes += [Change.additive(name, "a new document") for name in new.keys() - old.keys()]
    for name in old.keys() & new.keys():
        changes += [change.within(name) for change in _compare(name, old[name], new[name])]
    return sorted(changes, key=lambda change: (change.kind != "breaking", change))


def write_documents(folder: Path, new: Documents) -> list[Change]:
    """Have the documents in their files; return what changed.

    Raises:
        BreakingChange: somebody could rely on what is there; nothing was written.
    """
    changes = compare_documents(read_documents(folder), new)
    if any(change.kind == "breaking" for change in changes):
        raise BreakingChange(changes)
    for name, document in new.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(rendered(document))
    return changes


def _compare(name: str, old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    if name == ASYNCAPI_FILE:
        return compare_asyncapi(old, new)
    if name == OPENAPI_FILE:
        return compare_openapi(old, new)
    direction = Direction.ACCEPTED if name.startswith(_COMMANDS) else Direction.SENT
    return compare_schemas(old, new, direction)
