"""Accounts: the balance view, and what the events tell of now and of the past."""

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from passbook.eventstore.errors import AccountNotFound
from passbook.eventstore.past import account_at, accounts_at, recording_times
from passbook.eventstore.pool import lent
from passbook.projection.waiting import NotThatFar, at_version
from services.balance_projector.documents import AccountState, folded_state
from services.balance_projector.queries import (
    AccountRow,
    Page,
    account_page,
    last_seen,
    page_cursor,
)
from services.query_api.backend import READ_TIMEOUT_S, Backend, served_by
from services.query_api.folding import folded
from services.query_api.identity.callers import Caller, reader
from services.query_api.identity.ownership import must_own, must_own_row
from services.query_api.problems import Problem
from services.query_api.routes.described import ACCOUNT, ACCOUNTS, tagged
from services.query_api.routes.documents import json_response
from services.query_api.routes.parameters import (
    USUAL_WAIT_S,
    AccountId,
    At,
    Limit,
    Version,
    Wait,
    etag,
    is_known,
    moment_of,
    plain_query,
)

router = APIRouter(dependencies=[Depends(plain_query)])

MOST_OF_THE_PAST: Final = 50
"""Accounts on a page of the past: each is folded from its events."""

_USUAL_LIMIT: Final = 50


@router.get("/v1/accounts", **tagged("listAccounts", ACCOUNTS))
async def list_accounts(
    caller: Annotated[Caller, Depends(reader)],
    backend: Annotated[Backend, Depends(served_by)],
    limit: Limit = _USUAL_LIMIT,
    cursor: Annotated[
        str | None, Query(max_length=40, description="`next_cursor` of the page before.")
    ] = None,
    at: At = None,
) -> Response:
    """List accounts by their ids, a page at a time: without `bank:admin`, the own ones. With `at` a
    page has up to 50 accounts, those that were open then.
    """
    if at is None:
        owner = None if caller.sees_all else caller.subject
        page = await _page_of_the_view(backend, limit, cursor, owner)
        versions = {row.account_id: row.version for row in page.accounts}
        async with lent(backend.events, READ_TIMEOUT_S) as connection:
            times = await recording_times(connection, versions)
        states = [AccountState(row, times.get(row.account_id)) for row in page.accounts]
        return _page(states, page.next_cursor)
    moment, limit = moment_of(at), min(limit, MOST_OF_THE_PAST)
    if caller.sees_all:
        return await _page_of_the_past(backend, moment, limit, cursor)
    return await _own_page_of_the_past(backend, caller, moment, limit, cursor)


@router.get("/v1/accounts/{account_id}", **tagged("showAccount", ACCOUNT))
async def show_account(  # noqa: PLR0913 - every argument is a parameter of its own
    account_id: AccountId,
    request: Request,
    caller: Annotated[Caller, Depends(reader)],
    backend: Annotated[Backend, Depends(served_by)],
    min_version: Annotated[
        Version, Query(description="Wait until the balance view shows this version.")
    ] = None,
    wait: Wait = USUAL_WAIT_S,
    consistency: Annotated[
        Literal["view", "strong"] | None,
        Query(
            description="`strong`: as its events tell at this moment; otherwise the balance view."
        ),
    ] = None,
    at: At = None,
    version: Annotated[Version, Query(description="As it was at a version.")] = None,
) -> Response:
    """Show an account: from the balance view, or folded from its events."""
    strong = consistency == "strong"
    asked = {"consistency=strong": strong, "at": at, "version": version, "min_version": min_version}
    given = [name for name, value in asked.items() if value]
    if len(given) > 1:
        message = f"query: {' and '.join(given)} ask for different things: give one of them"
        raise Problem("malformed", message)
    if at is None and version is None and not strong:
        state = await _in_the_view(request, backend, caller, account_id, min_version or 0, wait)
    else:
        await must_own(backend, caller, account_id)
        state = await _from_the_events(backend, account_id, at, version)
    seen = state.account.version
    tag = {"ETag": etag(seen)}
    if is_known(request, seen):
        return Response(None, 304, {"Cache-Control": "private, no-cache", **tag})
    return json_response(state.to_dict(), 200, tag)


async def _in_the_view(  # noqa: PLR0913 - what was asked
    request: Request,
    backend: Backend,
    caller: Caller,
    account_id: UUID,
    min_version: int,
    wait_s: float,
) -> AccountState:
    if min_version:
        # Nobody learns from how long it takes whether there is a foreign account.
        await must_own(backend, caller, account_id)
        row = await _once_there(request, backend, account_id, min_version, wait_s)
    else:
        row = await backend.accounts.get(account_id)
    if row is None or not await must_own_row(backend, caller, row):
        raise AccountNotFound(account_id)
    return await _with_time(backend, row)


async def _once_there(
    request: Request, backend: Backend, account_id: UUID, min_version: int, wait_s: float
) -> AccountRow | None:
    stopping = request.app.state.stopping
    try:
        async with stopping.cutting_short(request):
            return await at_version(
                lambda: backend.accounts.get(account_id),
                min_version,
                backend.balance_bell,
                timeout_s=wait_s,
            )
    except NotThatFar as error:
        detail = f"The balance view shows account {account_id} {error}"
        raise Problem("not_that_far", detail, version=error.version) from error
    except TimeoutError as error:
        raise Problem("not_ready", "The service is about to stop; ask again") from error


async def _from_the_events(
    backend: Backend, account_id: UUID, at: str | None, version: int | None
) -> AccountState:
    if at is None:
        now = await folded(backend, account_id, version)
        if now is None:
            message = f"Account {account_id} has not had version {version}"
            raise Problem("version_not_found", message)
        return now
    then = await account_at(backend.store, account_id, moment_of(at))
    if then is None:
        raise Problem("account_not_found", f"Account {account_id} was not open then")
    return folded_state(then)


async def _page_of_the_past(
    backend: Backend, moment: datetime, limit: int, cursor: str | None
) -> Response:
    after = None if cursor is None else last_seen(cursor)
    found = await accounts_at(backend.store, moment, limit + 1, after)
    states = [folded_state(state) for state in found[:limit]]
    more = len(found) > limit
    return _page(states, page_cursor(states[-1].account.account_id) if more else None)


async def _page_of_the_view(
    backend: Backend, limit: int, cursor: str | None, owner: str | None
) -> Page:
    async with lent(backend.rows, READ_TIMEOUT_S) as connection:
        return await account_page(connection, limit, cursor, owner=owner)


async def _own_page_of_the_past(
    backend: Backend, caller: Caller, moment: datetime, limit: int, cursor: str | None
) -> Response:
    """Go through the own accounts of now: whose an account is never changes."""
    page = await _page_of_the_view(backend, limit, cursor, caller.subject)
    found = [await account_at(backend.store, row.account_id, moment) for row in page.accounts]
    return _page([folded_state(state) for state in found if state], page.next_cursor)


def _page(states: list[AccountState], following: str | None) -> Response:
    return json_response(
        {"accounts": [state.to_dict() for state in states], "next_cursor": following}
    )


async def _with_time(backend: Backend, row: AccountRow) -> AccountState:
    return AccountState(row, await backend.times.get((row.account_id, row.version)))
