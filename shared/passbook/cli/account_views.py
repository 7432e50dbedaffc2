"""`passbook account show`, `history` and `list`: accounts as they are, were, and came to be."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from passbook.cli.account_states import (
    at_a_moment,
    from_the_events,
    history_of,
    in_the_view,
    page_at_a_moment,
    page_of_the_view,
)
from passbook.cli.connect import connect
from passbook.cli.event_facts import facts
from passbook.cli.failures import Misused
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit
from passbook.contracts.event_documents import event_document
from passbook.eventstore.past import MomentNotPast
from passbook.eventstore.store import RecordedEvent
from passbook.messaging.cloudevents import format_time
from services.balance_projector.documents import AccountState
from services.balance_projector.queries import MOST_ON_A_PAGE, BadCursor

AccountId = Annotated[UUID, Parameter(help="The account.")]
At = Annotated[
    str | None, Parameter(help="As it was at a time, with its zone: 2026-01-31T12:00:00Z.")
]
Version = Annotated[int | None, Parameter(validator=Number(gte=1))]


async def show_(  # noqa: PLR0913 - every argument is an option of its own
    account_id: AccountId,
    /,
    *,
    at: At = None,
    version: Annotated[Version, Parameter(help="As it was at a version.")] = None,
    strong: Annotated[
        bool, Parameter(negative="", show_default=False, help="As its events tell at this moment.")
    ] = False,
    min_version: Annotated[
        Version, Parameter(help="Wait until the balance view has this version.")
    ] = None,
    timeout_s: Annotated[
        float,
        Parameter(
            name="--timeout",
            validator=Number(gte=0),
            help="Seconds to wait for --min-version.",
        ),
    ] = 5.0,
    options: Options = DEFAULTS,
) -> None:
    """Show an account: from the balance view, or folded from its events."""
    asked = {"--at": at, "--version": version, "--strong": strong, "--min-version": min_version}
    given = [name for name, value in asked.items() if value]
    if len(given) > 1:
        message = f"{' and '.join(given)} ask for different things: give one of them"
        raise Misused(message)
    moment = None if at is None else parse_moment(at)
    settings = connect(options)
    if moment is not None:
        try:
            state = await at_a_moment(settings, account_id, moment)
        except MomentNotPast as error:
            raise Misused(str(error)) from error
    elif version is not None or strong:
        state = await from_the_events(settings, account_id, version)
    else:
        state = await in_the_view(settings, account_id, min_version, timeout_s)
    emit(state.to_dict(), options, lambda: _accounts([state]))


async def history_(account_id: AccountId, /, *, options: Options = DEFAULTS) -> None:
    """Show everything that happened to an account, oldest first."""
    events = await history_of(connect(options), account_id)
    emit([event_document(event) for event in events], options, lambda: _history(events))


async def list_(
    *,
    at: At = None,
    limit: Annotated[
        int, Parameter(validator=Number(gte=1, lte=MOST_ON_A_PAGE), help="Accounts on this page.")
    ] = 50,
    cursor: Annotated[
        str | None, Parameter(help="`next_cursor` of the page before.", show_default=False)
    ] = None,
    options: Options = DEFAULTS,
) -> None:
    """List accounts by their ids, a page at a time: from the balance view, or those that were open
    at a time, folded from their events.
    """
    moment = None if at is None else parse_moment(at)
    settings = connect(options)
    try:
        if moment is None:
            accounts, following = await page_of_the_view(settings, limit, cursor)
        else:
            accounts, following = await page_at_a_moment(settings, moment, limit, cursor)
    except (BadCursor, MomentNotPast) as error:
        raise Misused(str(error)) from error
    document = {"accounts": [state.to_dict() for state in accounts], "next_cursor": following}
    emit(document, options, lambda: _page(accounts, following))


def parse_moment(text: str) -> datetime:
    """Return the aware time that an ISO 8601 text names.

    Raises:
        Misused: it names none, or leaves the time zone open.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"not a time: {text[:40]!a}; write it like 2026-01-31T12:00:00Z"
        raise Misused(message) from error
    if moment.tzinfo is None:
        message = f"{text} has no time zone: add Z, or an offset such as +01:00"
        raise Misused(message)
    return moment


def _accounts(states: Sequence[AccountState]) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in ("account", "owner"):
        table.add_column(column)
    table.add_column("balance", justify="right")
    for column in ("status", "version", "recorded"):
        table.add_column(column)
    for state in states:
        account = state.account
        table.add_row(
            str(account.account_id),
            Text(account.owner_name),
            f"{account.balance:,}",
            account.status,
            str(account.version),
            format_time(state.recorded_at) if state.recorded_at else "",
        )
    return table


def _page(states: Sequence[AccountState], following: str | None) -> RenderableType:
    if following is None:
        return _accounts(states)
    return Group(_accounts(states), Text(f"More: --cursor {following}", style="dim"))


def _history(events: Sequence[RecordedEvent]) -> RenderableType:
    table = Table(
        "version", "recorded", "event", "", "actor", box=None, pad_edge=False, padding=(0, 3, 0, 0)
    )
    for event in events:
        table.add_row(
            str(event.version),
            format_time(event.recorded_at),
            event.event_type,
            facts(event),
            Text(str(event_document(event)["actor"] or "")),
        )
    return table
