"""`GET /v1/events`: who may follow which part of the log, and from where."""

from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.responses import Response

from passbook.domain.events import EVENT_TYPES
from passbook.domain.slots import SLOT_COUNT
from services.query_api.backend import Backend, served_by
from services.query_api.identity.callers import Caller, reader
from services.query_api.identity.ownership import must_own
from services.query_api.problems import Problem
from services.query_api.routes.described import EVENT_STREAM, tagged
from services.query_api.routes.parameters import plain_query
from services.query_api.streaming.event_frames import Selection
from services.query_api.streaming.resume_tokens import LONGEST, BadToken, positions_of
from services.query_api.streaming.stream import EventStream

MOST_ACCOUNTS: Final = 100
_TYPES: Final = frozenset(f"bank.{name}" for name in EVENT_TYPES)

router = APIRouter(dependencies=[Depends(plain_query)])

Accounts = Annotated[
    list[str] | None,
    Query(
        alias="account",
        description=f"Only these accounts, separated by commas or repeated: up to {MOST_ACCOUNTS}.",
        examples=[["0b5e8a9c-6f1d-4a34-9a57-0d5f0f6f3a11"]],
    ),
]
Types = Annotated[
    list[str] | None,
    Query(
        alias="type",
        description="Only events of these types, separated by commas or repeated.",
        examples=[["bank.MoneyDeposited"]],
    ),
]
Start = Annotated[
    Literal["beginning", "now"],
    Query(alias="from", description="Where to begin when there is no last event id."),
]
LastEventId = Annotated[
    str,
    Query(
        max_length=LONGEST,
        description="The `id` of the last event that has come; the header `Last-Event-ID`, which a"
        " browser sends by itself, goes before.",
        examples=["3:17,40:5"],
    ),
]
LastEventIdHeader = Annotated[
    str,
    Header(
        alias="Last-Event-ID",
        max_length=LONGEST,
        description="Go on after this event: the last `id` that has come.",
        examples=["3:17,40:5"],
    ),
]


@router.get("/v1/events", **tagged("followEvents", EVENT_STREAM, tag="events"))
async def follow_events(  # noqa: PLR0913 - every argument is a parameter of the request
    request: Request,
    caller: Annotated[Caller, Depends(reader)],
    backend: Annotated[Backend, Depends(served_by)],
    account: Accounts = None,
    type_: Types = None,
    start: Start = "now",
    last_event_id: LastEventId = "",
    resume: LastEventIdHeader = "",
) -> Response:
    """Follow what happens, as Server-Sent Events: to the own accounts, with `bank:admin` to all."""
    accounts = _accounts(account)
    for account_id in accounts or ():
        await must_own(backend, caller, account_id)
    # What was asked for by name is the caller's own by now.
    owner = None if caller.sees_all or accounts is not None else caller.subject
    selection = Selection(accounts, _types(type_), owner)
    positions = _positions(resume or last_event_id, start)
    return EventStream(request.app.state.follower, selection, positions, caller.until)


def _positions(token: str, start: str) -> list[int] | None:
    if not token:
        return None if start == "now" else [0] * SLOT_COUNT
    try:
        return positions_of(token)
    except BadToken as error:
        raise Problem("malformed", f"Last-Event-ID: {error}") from error


def _accounts(given: list[str] | None) -> frozenset[UUID] | None:
    if given is None:
        return None
    names = ",".join(given).split(",")
    if len(names) > MOST_ACCOUNTS:
        raise Problem("malformed", f"account: {len(names)} are more than {MOST_ACCOUNTS}")
    try:
        return frozenset(map(UUID, names))
    except ValueError as error:
        raise Problem("malformed", "account: there is one that is no UUID") from error


def _types(given: list[str] | None) -> frozenset[str] | None:
    if given is None:
        return None
    names = frozenset(",".join(given).split(","))
    if not names <= _TYPES:
        raise Problem("malformed", f"type: there are only {', '.join(sorted(_TYPES))}")
    return names
