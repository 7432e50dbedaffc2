"""The documents: right by the standards they follow, as the code says, and never harmful."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from passbook.catalogue import CATALOGUE
from passbook.contracts.asyncapi import asyncapi_document
from passbook.contracts.documents import (
    BreakingChange,
    compare_documents,
    message_documents,
    read_documents,
    rendered,
    write_documents,
)
from passbook.contracts.shapes import CODES
from passbook.domain.events import EVENT_TYPES
from passbook.messaging.topics import Topics

_ROOT: Final = Path(__file__).parents[3]
_ASYNCAPI: Final = Path(__file__).parent / "asyncapi" / "3.1.0.json"
_COMMAND: Final = "schemas/commands/DepositMoney.v1.json"
_EVENT: Final = "schemas/events/MoneyDeposited.v2.json"


def test_the_asyncapi_document_is_valid() -> None:
    """By the schema of the AsyncAPI Initiative."""
    schema = json.loads(_ASYNCAPI.read_text(encoding="utf-8"))
    errors = [error.message for error in Draft7Validator(schema).iter_errors(asyncapi_document())]
    assert errors == []


def test_every_reference_points_somewhere() -> None:
    document = asyncapi_document()
    for reference in _references(document):
        target: Any = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]


@pytest.mark.parametrize("name", sorted(set(message_documents()) - {"asyncapi.json"}))
def test_every_schema_is_valid(name: str) -> None:
    document = message_documents()[name]
    Draft202012Validator.check_schema(document)
    assert document["$id"] == f"urn:passbook:schema:{Path(name).stem}"


def test_every_event_has_a_schema_for_each_version_up_to_the_newest() -> None:
    schemas = {name for name in message_documents() if name.startswith("schemas/events/")}
    assert schemas == {
        f"schemas/events/{name}.v{version}.json"
        for name, event in EVENT_TYPES.items()
        for version in range(1, event.schema_version + 1)
    }


def test_every_topic_is_a_channel_with_the_settings_it_is_created_with() -> None:
    channels = {one["address"]: one for one in asyncapi_document()["channels"].values()}
    assert channels.keys() == {spec.name for spec in Topics().specs()}
    for spec in Topics().specs():
        kafka = channels[spec.name]["bindings"]["kafka"]
        assert kafka["partitions"] == spec.partitions
        assert kafka["topicConfiguration"] == {
            name: [value] if name == "cleanup.policy" else int(value)
            for name, value in spec.config.items()
        }


def test_every_code_of_an_outcome_is_explained_and_is_the_same_over_http() -> None:
    document = message_documents()["schemas/Outcome.v1.json"]
    refusal = document["properties"]["error"]["anyOf"][0]["properties"]["code"]
    assert CODES.keys() <= CATALOGUE.keys()
    assert len(CODES) == 12
    for code, when in CODES.items():
        assert re.search(refusal["pattern"], code)
        assert f"`{code}`: {when}" in refusal["description"]


def test_a_document_is_written_so_that_a_difference_in_the_file_is_one_in_content() -> None:
    assert rendered({"b": "é", "a": [1]}) == '{\n  "a": [\n    1\n  ],\n  "b": "é"\n}\n'.encode()
    assert all(rendered(one) == rendered(json.loads(rendered(one))) for one in _documents())


def test_what_is_written_is_read_again_and_written_again_without_a_change(tmp_path: Path) -> None:
    first = write_documents(tmp_path, message_documents())
    assert {(change.kind, change.where) for change in first} == {
        ("additive", name) for name in message_documents()
    }
    assert read_documents(tmp_path) == message_documents()
    assert write_documents(tmp_path, message_documents()) == []


def test_nothing_is_written_when_one_document_would_break_somebody(tmp_path: Path) -> None:
    """Seen to fail: without the raise in `write_documents`."""
    write_documents(tmp_path, message_documents())
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.json")}
    new = message_documents()
    new[_EVENT]["properties"]["more"] = {"type": "string"}
    new[_COMMAND]["required"].append("reference")
    with pytest.raises(BreakingChange, match=f"{_COMMAND}/required/reference") as refused:
        write_documents(tmp_path, new)
    assert [change.kind for change in refused.value.changes] == ["breaking", "additive"]
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.json")} == before


def test_the_same_change_breaks_a_command_and_not_an_event_or_the_other_way_round() -> None:
    for name, expected in ((_COMMAND, "breaking"), (_EVENT, "additive")):
        new = message_documents()
        new[name]["required"] = ["account_id", "amount", "reference", "more"]
        changes = compare_documents(message_documents(), new)
        assert {change.kind for change in changes} == {expected}


def test_a_document_that_is_gone_breaks_and_a_new_one_does_not(tmp_path: Path) -> None:
    fewer = message_documents()
    del fewer[_EVENT]
    assert [change.kind for change in compare_documents(message_documents(), fewer)] == ["breaking"]
    assert [change.kind for change in compare_documents(fewer, message_documents())] == ["additive"]
    assert read_documents(tmp_path / "none") == {}


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match=r"^broken\.json: .* export anew$"):
        read_documents(tmp_path)


def _documents() -> list[dict[str, Any]]:
    return list(message_documents().values())


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for one in node for found in _references(one)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if "$ref" in node else []
    return own + [found for one in node.values() for found in _references(one)]
