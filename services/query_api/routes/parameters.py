"""What a request says in its path, query and headers, checked."""

import re
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Path, Query, Request
from fastapi.routing import APIRoute
from pydantic import BeforeValidator, WithJsonSchema

from passbook.messaging.command_shapes import UUID_PATTERN
from services.balance_projector.queries import MOST_ON_A_PAGE
from services.query_api.problems import Problem

MOST_WAIT_S: Final = 30.0
USUAL_WAIT_S: Final = 5.0

_REPEATABLE: Final = frozenset({"account", "type"})
_UUID_TEXT: Final = re.compile(UUID_PATTERN[1:-1], re.ASCII | re.IGNORECASE)
_DIGITS: Final = re.compile(r"[0-9]{1,10}", re.ASCII)
_ETAG: Final = re.compile(r'"v(0|[1-9][0-9]{0,8})"', re.ASCII)
_ANY_ETAG: Final = re.compile(r'(?:W/)?("[\x21\x23-\x7e]*")', re.ASCII)


def _a_uuid(value: object) -> UUID:
    if not isinstance(value, str) or _UUID_TEXT.fullmatch(value) is None:
        message = "must be a UUID"
        raise ValueError(message)
    return UUID(value)


def _a_number(value: object) -> object:
    if isinstance(value, str) and _DIGITS.fullmatch(value) is None:
        message = "must be a whole number, in digits"
        raise ValueError(message)
    return value


def _uuid_schema(description: str) -> dict[str, Any]:
    return {
        "type": "string",
        "format": "uuid",
        "pattern": UUID_PATTERN.replace("a-f", "A-Fa-f"),
        "description": description,
        "examples": ["0b5e8a9c-6f1d-4a34-9a57-0d5f0f6f3a11"],
    }


AccountId = Annotated[
    UUID, Path(), BeforeValidator(_a_uuid), WithJsonSchema(_uuid_schema("The account."))
]
CommandId = Annotated[
    UUID, Path(), BeforeValidator(_a_uuid), WithJsonSchema(_uuid_schema("The command."))
]
Wait = Annotated[
    float,
    Query(
        ge=0,
        le=MOST_WAIT_S,
        allow_inf_nan=False,
        description="Seconds to wait at most.",
        examples=[5],
    ),
]
Limit = Annotated[
    int,
    Query(ge=1, le=MOST_ON_A_PAGE, description="How many there are on a page."),
    BeforeValidator(_a_number),
]
AfterVersion = Annotated[
    int,
    Query(
        ge=0,
        lt=2**31,
        description="Begin after this version of the account: `next_after_version` of the page before.",
    ),
    BeforeValidator(_a_number),
]
Version = Annotated[int | None, Query(ge=1, lt=2**31), BeforeValidator(_a_number)]
At = Annotated[
    str | None,
    Query(
        max_length=40,
        description="As it was at a moment that has passed: RFC 3339, with its zone.",
        examples=["2026-01-31T12:00:00Z"],
    ),
]


def moment_of(text: str) -> datetime:
    """Return the aware time that `at` names.

    Raises:
        Problem: `malformed`.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Problem("malformed", "query at: write it like 2026-01-31T12:00:00Z") from None
    if moment.tzinfo is None:
        message = "query at: there is no time zone; add Z, or an offset such as %2B01:00"
        raise Problem("malformed", message)
    return moment


def one_header(request: Request, name: str) -> str | None:
    """Return a header that may be given once.

    Raises:
        Problem: `malformed`.
    """
    given = request.headers.getlist(name)
    if len(given) > 1:
        raise Problem("malformed", f"header {name}: given {len(given)} times")
    return given[0].strip() if given else None


def uuid_header(request: Request, name: str) -> UUID | None:
    """Return a header that is a UUID, with or without quotes.

    Raises:
        Problem: `malformed`.
    """
    text = one_header(request, name)
    if text is None:
        return None
    bare = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    if _UUID_TEXT.fullmatch(bare) is None:
        raise Problem("malformed", f"header {name}: must be a UUID")
    return UUID(bare)


def etag(version: int) -> str:
    """Return the entity tag of an account at a version."""
    return f'"v{version}"'


def if_match(request: Request) -> int | None:
    """Return the version that the account must have.

    Raises:
        Problem: `malformed`, for anything but one strong tag of ours.
    """
    text = one_header(request, "If-Match")
    if text is None:
        return None
    tag = _ETAG.fullmatch(text)
    if tag is None:
        raise Problem("malformed", 'header If-Match: must be one tag of ours, like "v3"')
    return int(tag[1])


def is_known(request: Request, version: int) -> bool:
    """Tell whether `If-None-Match` has the tag of this version (weak comparison: RFC 9110, 13.1.2)."""
    given = ",".join(request.headers.getlist("If-None-Match"))
    return given.strip() == "*" or etag(version) in _ANY_ETAG.findall(given)


async def plain_query(request: Request) -> None:
    """Refuse parameters that the route does not know, and repeated ones that are no lists: a misspelt `min_version`
    would be passed over, and an old balance be taken for a new one.

    Raises:
        Problem: `malformed`.
    """
    if not request.scope["query_string"]:
        return
    route = request.scope["route"]
    known = _known(route) if isinstance(route, APIRoute) else set()
    seen = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            raise Problem("malformed", f"query {name[:40]!a}: there is no such parameter")
        if name in seen and name not in _REPEATABLE:
            raise Problem("malformed", f"query {name}: given twice")
        seen.add(name)


def _known(route: APIRoute) -> set[str]:
    dependants = [route.dependant]
    known = set()
    while dependants:
        one = dependants.pop()
        known |= {parameter.alias for parameter in one.query_params}
        dependants += one.dependencies
    return known
