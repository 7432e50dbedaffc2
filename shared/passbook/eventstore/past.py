"""Reading the store as it was: what had been recorded at a moment, and when a version was.

The same question gets the same answer for ever. Before anything is read, the slots it is about are
settled (`EventStore.settle`): appends in flight are waited for, and whatever is appended later gets
a later time, even if the clock of the store is set back.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from passbook.domain.account import BankAccount
from passbook.domain.slots import SLOT_COUNT, slot_of
from passbook.eventstore.errors import AccountNotFound, MomentNotPast
from passbook.eventstore.store import EventStore, RecordedEvent

__all__ = [
    "MomentNotPast",
    "PastState",
    "account_at",
    "account_at_version",
    "accounts_at",
    "recorded_until",
    "recording_times",
]

_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_AT_A_TIME: Final = 25
"""Accounts whose events are in memory together."""
_RECORDED: Final = """
SELECT e.stream_id, e.recorded_at FROM unnest($1::uuid[], $2::integer[]) AS w(stream_id, version)
  JOIN eventstore.events e USING (stream_id, version)
 UNION ALL
SELECT a.stream_id, a.recorded_at FROM unnest($1::uuid[], $2::integer[]) AS w(stream_id, version)
  JOIN eventstore.archived_streams a USING (stream_id, version)
"""


class PastState(NamedTuple):
    """An account as of its version, which was recorded at `recorded_at`."""

    account: BankAccount
    recorded_at: datetime


async def account_at(store: EventStore, account_id: UUID, moment: datetime) -> PastState | None:
    """Return an account as it was at a moment, an aware time; None if it was not open by then.

    Raises:
        MomentNotPast: ask when it has come.
        ValueError: the moment says no time zone.
    """
    events = await recorded_until(store, account_id, moment)
    return _folded(events) if events else None


async def account_at_version(
    store: EventStore, account_id: UUID, version: int | None
) -> PastState | None:
    """Return an account as it was at a version, or as it is (None); None if it has not had that
    version yet.

    Raises:
        AccountNotFound: it has no events.
    """
    events = await store.history(account_id)
    if not events:
        raise AccountNotFound(account_id)
    wanted = len(events) if version is None else version
    return _folded(events[:wanted]) if 0 < wanted <= len(events) else None


async def accounts_at(
    store: EventStore, moment: datetime, limit: int, after: UUID | None = None
) -> list[PastState]:
    """Return up to `limit` accounts that were open by a moment, an aware time, in the order of their
    ids, those above `after`. Fewer than `limit` are the last ones.

    Raises:
        MomentNotPast: ask when it has come.
        ValueError: the moment says no time zone.
    """
    moment = _in_utc(moment)
    await store.settle(moment, range(SLOT_COUNT))
    heads = await store.heads()
    found: list[PastState] = []
    while len(found) < limit:
        ids = await store.streams(after, min(limit, _AT_A_TIME))
        if not ids:
            break
        after = ids[-1]
        events = await store.read_streams(ids, heads)
        for _, history in groupby(events, attrgetter("stream_id")):
            until = _until(list(history), moment)
            if until:
                found.append(_folded(until))
    return found[:limit]


async def recorded_until(
    store: EventStore, account_id: UUID, moment: datetime
) -> list[RecordedEvent]:
    """Return what had been recorded of an account by a moment, an aware time, oldest first.

    Raises:
        MomentNotPast: ask when it has come.
        ValueError: the moment says no time zone.
    """
    moment = _in_utc(moment)
    await store.settle(moment, [slot_of(account_id)])
    return _until(await store.history(account_id), moment)


async def recording_times(
    connection: asyncpg.Pool | asyncpg.Connection, versions: Mapping[UUID, int]
) -> dict[UUID, datetime]:
    """Return account → when the version named for it was recorded; unknown ones are missing, and so
    are archived ones that are not the last that is archived of the account.
    """
    return dict(await connection.fetch(_RECORDED, tuple(versions), tuple(versions.values())))


def _until(events: list[RecordedEvent], moment: datetime) -> list[RecordedEvent]:
    return [event for event in events if event.recorded_at <= moment]


def _folded(events: list[RecordedEvent]) -> PastState:
    newest = events[-1]
    account = BankAccount.replay(newest.stream_id, [event.decode() for event in events])
    return PastState(account, newest.recorded_at)


def _in_utc(moment: datetime) -> datetime:
    """Return the moment in UTC, where the first and the last of all years have ends: a zone can move
    a time beyond them.
    """
    if moment.utcoffset() is None:
        message = f"{moment.isoformat()} has no time zone"
        raise ValueError(message)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return _LAST if moment.year > 1 else _FIRST
