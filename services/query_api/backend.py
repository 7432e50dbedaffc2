"""What the routes stand on: opened once, by the wiring."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
from starlette.requests import HTTPConnection

from passbook.client import PassbookClient
from passbook.eventstore.doorbell import DoorbellListener
from passbook.eventstore.past import recording_times
from passbook.eventstore.pool import FAILURES, lent, said
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.snapshots import SnapshotStore
from passbook.eventstore.translation import translate
from passbook.projection.belonging import check_belonging
from passbook.service import Health, alongside
from services.audit_projector.queries import audit_trail
from services.balance_projector.queries import AccountRow, account_rows
from services.query_api.identity.authentication import Authenticator
from services.query_api.identity.known_owners import KnownOwners
from services.query_api.lookups import Lookups
from services.query_api.overview import Overview
from services.query_api.problems import Problem

READ_TIMEOUT_S: Final = 5.0
"""What a read waits for a database, at most."""
_WATCH_S: Final = 2.0
_MOST_TIMES: Final = 50_000
"""Some 15 MB."""
_NO_ACCOUNT: Final = UUID(int=0)
_PROBE: Final = "SELECT 1"


@dataclass(frozen=True, slots=True)
class Backend:
    """The servers, as the routes see them.

    `events` and `rows` are pools of the event store's and of the read models' database, which may be
    one; `balance_bell` rings when balances have changed, `events_bell` when events were appended.
    `accounts` and `times` answer single questions, many at a time.
    """

    store: PostgresEventStore
    snapshots: SnapshotStore
    events: asyncpg.Pool
    rows: asyncpg.Pool
    bank: PassbookClient
    balance_bell: DoorbellListener
    events_bell: DoorbellListener
    accounts: Lookups[UUID, AccountRow]
    times: "RecordingTimes"
    overview: Overview
    owners: KnownOwners = field(default_factory=KnownOwners)


class RecordingTimes:
    """When a version of an account was recorded, which never changes: those that were asked for last
    are remembered.
    """

    def __init__(self, ask: Lookups[tuple[UUID, int], datetime]) -> None:
        """Ask with `ask`."""
        self._ask = ask
        self._known: OrderedDict[tuple[UUID, int], datetime] = OrderedDict()

    async def get(self, one: tuple[UUID, int]) -> datetime | None:
        """Return the time of (account, version); None when there is no such event.

        Raises:
            StoreUnavailable, and what the driver raises.
        """
        known = self._known.get(one)
        if known is None:
            known = await self._ask.get(one)
            if known is not None:
                self._known[one] = known
                if len(self._known) > _MOST_TIMES:
                    self._known.popitem(last=False)
        return known


@asynccontextmanager
async def looked_up(
    events: asyncpg.Pool, rows: asyncpg.Pool
) -> AsyncIterator[tuple[Lookups[UUID, AccountRow], RecordingTimes]]:
    """Answer single questions for the length of the block."""

    async def ask_accounts(account_ids: Sequence[UUID]) -> dict[UUID, AccountRow]:
        async with lent(rows, READ_TIMEOUT_S) as connection:
            return await account_rows(connection, account_ids)

    async def ask_times(wanted: Sequence[tuple[UUID, int]]) -> dict[tuple[UUID, int], datetime]:
        # One version of an account at a time: two are wanted while it changes, and then asked again.
        versions = dict(wanted)
        async with lent(events, READ_TIMEOUT_S) as connection:
            found = await recording_times(connection, versions)
            told = {(account, versions[account]): moment for account, moment in found.items()}
            for one in wanted:
                if versions[one[0]] != one[1]:
                    again = await recording_times(connection, dict([one]))
                    told.update((one, moment) for moment in again.values())
        return told

    accounts = Lookups(ask_accounts)
    times = Lookups(ask_times)
    async with alongside(accounts.run(), times.run()):
        yield accounts, RecordingTimes(times)


async def check_views(events: asyncpg.Pool, rows: asyncpg.Pool) -> None:
    """Return if the read models are as this code reads them, and were built from this event store.

    Raises:
        StoreMismatch: they are not there, or another's, or the login may not read them.
        StoreUnavailable: a database does not answer.
    """
    try:
        async with (
            lent(events, READ_TIMEOUT_S) as event_store,
            lent(rows, READ_TIMEOUT_S) as connection,
        ):
            await check_belonging(connection, event_store)
            await account_rows(connection, [_NO_ACCOUNT])
            await audit_trail(connection, _NO_ACCOUNT, limit=1)
    except FAILURES as error:
        translate(error)


async def served_by(connection: HTTPConnection) -> Backend:
    """Return what the routes stand on.

    Raises:
        Problem: `not_ready`, while the servers cannot be reached.
    """
    backend: Backend | None = connection.app.state.backend
    if backend is None:
        raise Problem("not_ready", "The servers cannot be reached yet")
    return backend


async def watch(
    backend: Backend, authenticator: Authenticator | None, stop: asyncio.Event, health: Health
) -> None:
    """Say whether the databases answer and callers can be told apart, until `stop` is set or it is
    cancelled. Requests need not be told: each finds out by itself, and the pools connect again.
    """
    while not stop.is_set():
        try:
            for pool in (backend.events, backend.rows):
                async with lent(pool, READ_TIMEOUT_S) as connection:
                    await connection.execute(_PROBE)
        except FAILURES as error:
            health.not_ready(f"PostgreSQL: {said(error)}")
        else:
            trouble = "" if authenticator is None else await authenticator.trouble()
            if trouble and not stop.is_set():
                health.not_ready(trouble)
            elif not stop.is_set():
                health.ready()
        await asyncio.sleep(_WATCH_S)
