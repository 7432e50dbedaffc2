"""The OpenAPI document is right by the standards it follows, and so is every example in it."""

from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
import schemathesis
from jsonschema import Draft202012Validator

from passbook.contracts.schemas import OUTCOME, message_schemas
from services.query_api.app import create_app, openapi_document

_DOCUMENT: Final = openapi_document()
_COMMANDS: Final = {
    "open": ("OpenAccount.v1", "/v1/accounts"),
    "deposit": ("DepositMoney.v1", "/v1/accounts/{account_id}/deposits"),
    "withdraw": ("WithdrawMoney.v1", "/v1/accounts/{account_id}/withdrawals"),
    "freeze": ("FreezeAccount.v1", "/v1/accounts/{account_id}/freeze"),
    "close": ("CloseAccount.v1", "/v1/accounts/{account_id}/close"),
}
"""Operation → the command it publishes, and its route."""
_METHODS: Final = {"get", "put", "post", "delete", "patch"}


def test_the_document_is_valid() -> None:
    """By the schema of the OpenAPI Initiative, which comes with schemathesis."""
    assert _DOCUMENT["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(_DOCUMENT).validate()


async def test_the_service_hands_out_the_document() -> None:
    transport = httpx.ASGITransport(create_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/openapi.json")
    assert answer.json() == _DOCUMENT


def test_every_reference_points_somewhere() -> None:
    missing = []
    for node in _nodes(_DOCUMENT):
        if "$ref" in node:
            target: Any = _DOCUMENT
            for step in node["$ref"].removeprefix("#/").split("/"):
                target = target.get(step, {})
            if not target:
                missing.append(node["$ref"])
    assert missing == []


def test_every_schema_is_valid() -> None:
    for schema in _schemas():
        Draft202012Validator.check_schema(schema)


def test_every_example_fits_the_schema_it_stands_by() -> None:
    examined = 0
    for node in _nodes(_DOCUMENT):
        stated = node.get("examples")
        if isinstance(stated, list):
            pairs = [(node, example) for example in stated]
        elif isinstance(stated, dict) and "schema" in node:
            pairs = [(node["schema"], example["value"]) for example in stated.values()]
        else:
            pairs = []
        if "example" in node and "schema" in node:
            pairs.append((node["schema"], node["example"]))
        for schema, example in pairs:
            within = {**schema, "components": _DOCUMENT["components"]}
            Draft202012Validator(within).validate(example)
            examined += 1
    assert examined


def test_every_operation_has_a_name_of_its_own_and_says_how_it_ends() -> None:
    operations = [
        operation
        for path in _DOCUMENT["paths"].values()
        for method, operation in path.items()
        if method in _METHODS
    ]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    for operation in operations:
        assert any(status.startswith("2") for status in operation["responses"])
        assert {"500", "503"} & operation["responses"].keys(), operation["operationId"]


@pytest.mark.parametrize("name", _COMMANDS)
def test_a_body_has_the_fields_of_its_command(name: str) -> None:
    """All but the account, which is in the path, and what `open` makes for those who leave it out."""
    command, path = _COMMANDS[name]
    body = _DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    if "$ref" in body:
        body = _DOCUMENT["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    said, expected = body["properties"], message_schemas()[command]["properties"]
    assert body["additionalProperties"] is False
    assert said.keys() | {"account_id"} == expected.keys()
    for field, schema in said.items():
        checked = {**schema, **dict.fromkeys(("title", "description", "examples"))}
        assert checked == {**expected[field], **dict.fromkeys(("title", "description", "examples"))}


def test_an_outcome_over_http_is_the_one_that_is_published() -> None:
    said = _DOCUMENT["components"]["schemas"]["OutcomeData"]
    published = message_schemas()[OUTCOME]
    assert said["required"] == published["required"]
    assert said["properties"].keys() == published["properties"].keys()


def _schemas() -> Iterator[Any]:
    yield from _DOCUMENT["components"]["schemas"].values()
    yield from (node["schema"] for node in _nodes(_DOCUMENT["paths"]) if "schema" in node)


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, list):
        for one in node:
            yield from _nodes(one)
    if isinstance(node, dict):
        yield node
        for one in node.values():
            yield from _nodes(one)
