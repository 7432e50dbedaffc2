"""Which change of the OpenAPI document breaks whoever speaks to the bank over HTTP."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

import pytest

from passbook.contracts.openapi_changes import compare_openapi

Edit = Callable[[dict[str, Any]], object]
_TEXT: Final = {"type": "string", "maxLength": 10}
_JSON: Final = "application/json"


def _document() -> dict[str, Any]:
    get = {
        "operationId": "read",
        "parameters": [
            {"name": "limit", "in": "query", "schema": {"type": "integer", "default": 10}},
            {"$ref": "#/components/parameters/Version"},
        ],
        "responses": {
            "200": {
                "description": "It.",
                "headers": {"ETag": {"required": True, "schema": _TEXT}},
                "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Account"}}},
            },
            "404": {"$ref": "#/components/responses/Problem"},
        },
        "security": [{"jwt": ["bank:read"]}, {}],
    }
    post = {
        "requestBody": {"content": {_JSON: {"schema": {"$ref": "#/components/schemas/Opening"}}}},
        "responses": {"201": {"description": "Done."}},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "T", "version": "1"},
        "paths": {
            "/accounts": {
                "parameters": [{"name": "id", "in": "header", "schema": _TEXT}],
                "get": get,
                "post": post,
            }
        },
        "components": {
            "parameters": {"Version": {"name": "version", "in": "query", "schema": _TEXT}},
            "responses": {"Problem": {"content": {"application/problem+json": {"schema": {}}}}},
            "schemas": {
                "Account": {
                    "properties": {"owner": _TEXT, "balance": _TEXT},
                    "required": ["owner"],
                },
                "Opening": {"properties": {"owner": _TEXT}, "additionalProperties": False},
            },
            "securitySchemes": {"jwt": {"type": "http", "scheme": "bearer"}},
        },
    }


def _get(document: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = document["paths"]["/accounts"]["get"]
    return operation


def _post(document: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = document["paths"]["/accounts"]["post"]
    return operation


def _schema(document: dict[str, Any], name: str) -> dict[str, Any]:
    schema: dict[str, Any] = document["components"]["schemas"][name]
    return schema


BREAKING: Final[dict[str, Edit]] = {
    "a route is gone": lambda d: d["paths"].pop("/accounts"),
    "a method is gone": lambda d: d["paths"]["/accounts"].pop("get"),
    "an operation has another name": lambda d: _get(d).update(operationId="other"),
    "a parameter is gone": lambda d: _get(d)["parameters"].pop(0),
    "a parameter of the route is gone": lambda d: d["paths"]["/accounts"].pop("parameters"),
    "a parameter more that must be there": lambda d: _get(d)["parameters"].append(
        {"name": "more", "in": "query", "required": True}
    ),
    "a parameter must be there": lambda d: _get(d)["parameters"][0].update(required=True),
    "a parameter is narrower": lambda d: _get(d)["parameters"][0]["schema"].update(maximum=5),
    "a parameter has another default": lambda d: _get(d)["parameters"][0]["schema"].update(
        default=5
    ),
    "a parameter elsewhere is narrower": lambda d: d["components"]["parameters"]["Version"].update(
        schema={"type": "string", "maxLength": 1}
    ),
    "a status is gone": lambda d: _get(d)["responses"].pop("404"),
    "a header is gone": lambda d: _get(d)["responses"]["200"].pop("headers"),
    "a header may be missing": lambda d: _get(d)["responses"]["200"]["headers"]["ETag"].update(
        required=False
    ),
    "a media type is gone": lambda d: _get(d)["responses"]["200"]["content"].clear(),
    "a media type is gone elsewhere": lambda d: d["components"]["responses"]["Problem"].update(
        content={"text/plain": {"schema": {}}}
    ),
    "a field of an answer is gone": lambda d: _schema(d, "Account")["properties"].pop("balance"),
    "a field of an answer may be missing": lambda d: _schema(d, "Account").update(required=[]),
    "a field of an answer is wider": lambda d: _schema(d, "Account")["properties"].update(
        owner={"type": "string"}
    ),
    "a body must be there": lambda d: _post(d)["requestBody"].update(required=True),
    "a body is gone": lambda d: _post(d).pop("requestBody"),
    "a body has one field more that must be there": lambda d: _schema(d, "Opening").update(
        required=["owner"]
    ),
    "a field of a body is narrower": lambda d: _schema(d, "Opening")["properties"].update(
        owner={"type": "string", "maxLength": 1}
    ),
    "one more scope is needed": lambda d: _get(d).update(
        security=[{"jwt": ["bank:read", "bank:admin"]}, {}]
    ),
    "nobody is let in without a token": lambda d: _get(d)["security"].pop(),
    "a token is needed everywhere": lambda d: d.update(security=[{"jwt": []}]),
    "a token is something else": lambda d: d["components"]["securitySchemes"]["jwt"].update(
        scheme="basic"
    ),
    "something unknown": lambda d: _get(d).update(callbacks={}),
}

ADDITIVE: Final[dict[str, Edit]] = {
    "a route more": lambda d: d["paths"].update({"/more": {"get": {"responses": {}}}}),
    "a method more": lambda d: d["paths"]["/accounts"].update(delete={"responses": {}}),
    "a parameter more": lambda d: _get(d)["parameters"].append({"name": "more", "in": "query"}),
    "a parameter is wider": lambda d: _get(d)["parameters"][0]["schema"].pop("type"),
    "a status more": lambda d: _get(d)["responses"].update({"503": {"description": "Later."}}),
    "a header more": lambda d: _get(d)["responses"]["200"]["headers"].update(More={}),
    "a media type more": lambda d: _get(d)["responses"]["200"]["content"].update(
        {"text/csv": {"schema": {}}}
    ),
    "a field of an answer more": lambda d: _schema(d, "Account")["properties"].update(more=_TEXT),
    "a field of an answer is always there": lambda d: _schema(d, "Account").update(
        required=["owner", "balance"]
    ),
    "a field of a body more": lambda d: _schema(d, "Opening")["properties"].update(more=_TEXT),
    "a body where there was none": lambda d: _get(d).update(requestBody={"content": {}}),
    "anybody is let in": lambda d: _post(d).update(security=[{}]),
    "another token will do": lambda d: _get(d)["security"].append({"key": []}),
    "the same, said elsewhere": lambda d: d.update(security=[{}]),
    "other words": lambda d: _get(d).update(summary="other", description="other", tags=["a"]),
}


@pytest.mark.parametrize("case", BREAKING)
def test_whoever_relied_on_it_is_broken(case: str) -> None:
    assert "breaking" in _kinds(BREAKING[case])


@pytest.mark.parametrize("case", ADDITIVE)
def test_what_is_added_breaks_nobody(case: str) -> None:
    assert _kinds(ADDITIVE[case]) <= {"additive"}


def test_the_same_document_has_no_changes() -> None:
    assert compare_openapi(_document(), _document()) == []


def _kinds(edit: Edit) -> set[str]:
    new = deepcopy(_document())
    edit(new)
    return {change.kind for change in compare_openapi(_document(), new)}
