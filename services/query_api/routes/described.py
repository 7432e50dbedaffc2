"""What the routes can answer, for the OpenAPI document: every status with its headers and body."""

from collections.abc import Mapping
from typing import Any, Final

from passbook.catalogue import CATALOGUE
from services.query_api.problems import PROBLEM_JSON

Answers = dict[str, dict[str, Any]]

_ANYWHERE: Final = (
    *("malformed", "unauthorized", "forbidden", "request_timeout", "body_too_large"),
    *("misdirected", "headers_too_large", "internal"),
    *("not_ready", "overloaded", "unavailable"),
)
_TEXT: Final = {"type": "string"}


def _header(description: str, schema: Mapping[str, Any] = _TEXT) -> dict[str, Any]:
    return {"description": description, "schema": dict(schema)}


_RETRY_AFTER: Final = {
    "Retry-After": _header("Seconds to wait before asking again.", {"type": "integer"})
}
_KEY: Final = {
    "Idempotency-Key": _header("The command's id.", {"type": "string", "format": "uuid"})
}
_TAG: Final = {"ETag": _header('The version of the account: `"v3"`.')}
_LOCATION: Final = {
    "Location": _header("Where it is.", {"type": "string", "format": "uri-reference"})
}


def problems(*codes: str, status: int | None = None) -> Answers:
    """Return the answers that are these problems, by status: the catalogue's, or another one."""
    found: Answers = {}
    for code in sorted(codes, key=list(CATALOGUE).index):
        meaning = CATALOGUE[code]
        answer = found.setdefault(
            str(status or meaning.status),
            {
                "description": "",
                "content": {
                    PROBLEM_JSON: {
                        "schema": {"$ref": "#/components/schemas/ProblemData"},
                        "examples": {},
                    }
                },
            },
        )
        answer["description"] = "; ".join(filter(None, (answer["description"], meaning.title)))
        answer["content"][PROBLEM_JSON]["examples"][code] = {"value": _example(code, status)}
        if meaning.status == 503:  # noqa: PLR2004 - the status says it best
            answer["headers"] = _RETRY_AFTER
        if code in {"unauthorized", "forbidden"}:
            answer["headers"] = {"WWW-Authenticate": _header("RFC 6750.")}
    return found


def _example(code: str, status: int | None) -> dict[str, Any]:
    meaning = CATALOGUE[code]
    return {
        "type": f"urn:passbook:problem:{code}",
        "title": meaning.title,
        "status": status or meaning.status,
        "detail": f"{meaning.title}.",
        "code": code,
    }


def document_of(
    shape: str, description: str, headers: Mapping[str, Any] | None = None, *, many: bool = False
) -> dict[str, Any]:
    """Return the answer that is a document of this shape, or a list of them."""
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{shape}"}
    if many:
        schema = {"type": "array", "items": schema}
    answer: dict[str, Any] = {
        "description": description,
        "content": {"application/json": {"schema": schema}},
    }
    return answer | ({"headers": dict(headers)} if headers else {})


def answers(*codes: str, **documents: dict[str, Any]) -> Answers:
    """Return `_200=document_of(…)` and the like, and the problems that there are anywhere and these."""
    told = {status.removeprefix("_"): answer for status, answer in documents.items()}
    return told | problems(*_ANYWHERE, *codes)


_RULES: Final = (
    *("account_not_found", "account_already_exists", "version_mismatch", "account_not_active"),
    *("account_closed", "amount_not_positive", "insufficient_funds", "minimum_deposit"),
    *("balance_limit", "idempotency_conflict", "unsupported_media_type"),
)
_UNDER_WAY: Final = document_of(
    "UnderWayData",
    "There is no outcome yet; it will be where `Location` says.",
    {**_LOCATION, **_RETRY_AFTER, **_KEY},
)
_STALE: Final = problems("version_mismatch", status=412)

COMMAND: Final = {
    **answers(
        *_RULES,
        _200=document_of("OutcomeData", "The command was accepted.", {**_TAG, **_KEY}),
        _202=_UNDER_WAY,
    ),
    **_STALE,
}
OPENING: Final = {
    **answers(
        *_RULES,
        _201=document_of("OutcomeData", "The account is open.", {**_LOCATION, **_TAG, **_KEY}),
        _202=_UNDER_WAY,
    ),
    **_STALE,
}
FOUND_OUTCOME: Final = answers(
    "command_not_found", _200=document_of("OutcomeData", "What was decided.")
)
FOUND_OUTCOME["404"]["headers"] = _RETRY_AFTER
ACCOUNT: Final = {
    **answers(
        *(
            "account_not_found",
            "version_not_found",
            "moment_not_past",
            "not_that_far",
            "unreadable",
        ),
        _200=document_of("AccountData", "The account.", _TAG),
    ),
    "304": {"description": "It has the version that `If-None-Match` names.", "headers": _TAG},
}
ACCOUNTS: Final = answers(
    "moment_not_past", "unreadable", _200=document_of("AccountPage", "A page of accounts.")
)
EVENTS: Final = answers(
    "account_not_found", "unreadable", _200=document_of("EventPage", "A page of events.")
)
AUDIT: Final = answers("account_not_found", _200=document_of("AuditPage", "A page of entries."))
EVENT_STREAM: Final = answers(
    *("account_not_found", "position_unknown"),
    _200={
        "description": "Events as they are recorded: `id` covers everything that was offered so far,"
        " `event` is the CloudEvents type, `data` one `LogEventData`. It does not end by itself; when"
        " it cannot go on, the last event is `error`, with a `ProblemData`. Events of a slot come in"
        " the order of their numbers, without a hole.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
)
PROJECTIONS: Final = answers(
    _200=document_of("ProjectionData", "Every installed read model.", many=True)
)
OVERVIEW: Final = answers(_200=document_of("OverviewData", "The figures."))

_SCOPES: Final = {"commands": "bank:command", "accounts": "bank:read", "operations": "bank:admin"}


def tagged(
    operation_id: str,
    told: Answers,
    extra: Mapping[str, Any] | None = None,
    *,
    tag: str = "",
    scope: str = "",
) -> dict[str, Any]:
    """Return the arguments of a route's decorator that say what it is. Of several scopes, with blanks
    between them, one is enough.
    """
    tag = tag or ("commands" if extra else "accounts")
    scope = scope or ("bank:command" if extra else _SCOPES.get(tag, "bank:read"))
    headers = {"parameters": _COMMAND_HEADERS} if extra else {}
    return {
        "operation_id": operation_id,
        "tags": [tag],
        "response_model": None,
        "openapi_extra": {
            "responses": told,
            "security": [{"bearer": [one]} for one in scope.split()],
            **headers,
            **(extra or {}),
        },
    }


def _sent(name: str, description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": dict(schema)}


_UUID: Final = {"type": "string", "format": "uuid"}
_COMMAND_HEADERS: Final = [
    _sent(
        "Idempotency-Key",
        "The command's id. Asking again with the same one and the same content has no further effect"
        " and gets the same answer. Without it there is a new one.",
        _UUID,
    ),
    _sent(
        "If-Match",
        'The version that the account must have, `"v3"`; as `expected_version` in the body.',
        {"type": "string", "pattern": '^"v(0|[1-9][0-9]{0,8})"$'},
    ),
    _sent(
        "X-Correlation-ID",
        "The conversation this belongs to: kept with all that the command causes.",
        {"type": "string", "maxLength": 200, "pattern": "^[\\x21-\\x7e]*$"},
    ),
    _sent("traceparent", "W3C Trace Context: kept with all that the command causes.", _TEXT),
]


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """Return FastAPI's document with what it does not know: the shapes, how callers are told apart; and
    without the answers that it believes in: 422 to invalid parameters, and a stream as JSON.
    """
    from services.query_api.routes.shapes import (
        schemas,  # costs 100 ms, which not every start needs
    )

    for path in document["paths"].values():
        for operation in path.values():
            told = operation["responses"]
            told.get("422", {}).get("content", {}).pop("application/json", None)
            if not told.get("422", {}).get("content", True):
                del told["422"]
            if "text/event-stream" in told.get("200", {}).get("content", {}):
                del told["200"]["content"]["application/json"]
            if "201" in told:
                told.pop("200", None)
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _given(parameter["schema"])
    document["components"] = {
        "schemas": schemas(),
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
    }
    document["info"]["description"] = _DESCRIPTION
    return document


def _given(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter when it is given: a query cannot say null."""
    kinds: list[dict[str, Any]] = [
        one for one in schema.get("anyOf", ()) if one != {"type": "null"}
    ]
    if len(kinds) != 1:
        return schema
    return {name: value for name, value in schema.items() if name != "anyOf"} | kinds[0]


_DESCRIPTION: Final = (
    "A bank ledger: commands are published, decided once, and their outcomes told; accounts are read"
    " as of a version.\n\nErrors are `application/problem+json`; a program goes by `code`. Requests with"
    " a token (`Authorization: Bearer …`) see the accounts of its `sub`, with `bank:admin` all of them."
)
