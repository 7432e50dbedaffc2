"""Where the state of an account comes from: the balance view, or the events themselves."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from passbook.cli.failures import EXIT_UNAVAILABLE, CommandFailed, NotFound
from passbook.config import Settings
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.doorbell import DoorbellListener
from passbook.eventstore.errors import AccountNotFound
from passbook.eventstore.past import (
    account_at,
    account_at_version,
    accounts_at,
    recording_times,
)
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.store import RecordedEvent
from passbook.messaging.cloudevents import format_time
from passbook.projection.protocol import doorbell_channel
from passbook.projection.waiting import NotThatFar, at_version
from passbook.service import alongside, database_pool
from services.balance_projector.documents import AccountState, folded_state
from services.balance_projector.queries import (
    AccountRow,
    account_page,
    account_row,
    last_seen,
    page_cursor,
)

_APPLICATION: Final = "passbook-cli"


class NotThereYet(CommandFailed):
    """The balance view has not reached the version that was asked for."""

    code = EXIT_UNAVAILABLE


async def in_the_view(
    settings: Settings, account_id: UUID, min_version: int | None, timeout_s: float
) -> AccountState:
    """Return an account as the balance view has it, once it has `min_version`.

    Raises:
        NotFound: it has no such account.
        NotThereYet: not within `timeout_s`.
    """
    doorbell = DoorbellListener(settings.read_model, doorbell_channel("balance"))
    async with (
        database_pool(settings.read_model, _APPLICATION) as pool,
        alongside(doorbell.run()),
    ):
        try:
            row = await at_version(
                lambda: account_row(pool, account_id),
                min_version or 0,
                doorbell,
                timeout_s=timeout_s,
            )
        except NotThatFar as error:
            message = (
                f"the balance view shows account {account_id} {error}: "
                "see `passbook projection list`"
            )
            raise NotThereYet(message) from error
    if row is None:
        message = f"{AccountNotFound(account_id)} in the balance view; --strong asks the events"
        raise NotFound(message)
    (state,) = await _with_times(settings, [row])
    return state


async def page_of_the_view(
    settings: Settings, limit: int, cursor: str | None
) -> tuple[list[AccountState], str | None]:
    """Return accounts of the balance view by their ids, and the cursor of the next page.

    Raises:
        BadCursor: `cursor` is none.
    """
    async with database_pool(settings.read_model, _APPLICATION) as pool:
        page = await account_page(pool, limit, cursor)
    return await _with_times(settings, page.accounts), page.next_cursor


async def from_the_events(
    settings: Settings, account_id: UUID, version: int | None = None
) -> AccountState:
    """Return an account as its events tell now, or told up to a version.

    Raises:
        AccountNotFound: it has none.
        NotFound: it has not had that version yet.
    """
    async with database_pool(settings.event_store, _APPLICATION) as pool:
        state = await account_at_version(_store(settings, pool), account_id, version)
    if state is None:
        newest = len(await history_of(settings, account_id))
        message = f"Account {account_id} has no version {version}; its newest is {newest}"
        raise NotFound(message)
    return folded_state(state)


async def at_a_moment(settings: Settings, account_id: UUID, moment: datetime) -> AccountState:
    """Return an account as its events told at an aware time of the past.

    Raises:
        MomentNotPast: not yet.
        NotFound: it was not open then.
    """
    async with database_pool(settings.event_store, _APPLICATION) as pool:
        state = await account_at(_store(settings, pool), account_id, moment)
    if state is None:
        message = f"{AccountNotFound(account_id)} at {format_time(moment)}"
        raise NotFound(message)
    return folded_state(state)


async def page_at_a_moment(
    settings: Settings, moment: datetime, limit: int, cursor: str | None
) -> tuple[list[AccountState], str | None]:
    """Return accounts as their events told at an aware time of the past, and the next page's cursor.

    Raises:
        BadCursor: `cursor` is none.
        MomentNotPast: not yet.
    """
    after = None if cursor is None else last_seen(cursor)
    async with database_pool(settings.event_store, _APPLICATION) as pool:
        found = await accounts_at(_store(settings, pool), moment, limit + 1, after)
    states = [folded_state(state) for state in found[:limit]]
    more = len(found) > limit
    return states, page_cursor(states[-1].account.account_id) if more else None


async def history_of(settings: Settings, account_id: UUID) -> list[RecordedEvent]:
    """Return all events of an account, oldest first.

    Raises:
        AccountNotFound: it has none.
    """
    async with database_pool(settings.event_store, _APPLICATION) as pool:
        events = await _store(settings, pool).history(account_id)
    if not events:
        raise AccountNotFound(account_id)
    return events


def _store(settings: Settings, pool: asyncpg.Pool) -> PostgresEventStore:
    return PostgresEventStore(pool, Archive(settings.archive))


async def _with_times(settings: Settings, rows: Sequence[AccountRow]) -> list[AccountState]:
    async with database_pool(settings.event_store, _APPLICATION) as pool:
        times = await recording_times(pool, {row.account_id: row.version for row in rows})
    return [AccountState(row, times.get(row.account_id)) for row in rows]
