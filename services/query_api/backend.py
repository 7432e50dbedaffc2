"""What the routes stand on: opened once, by the wiring."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from passbook.client import PassbookClient
from passbook.eventstore.doorbell import DoorbellListener
from passbook.eventstore.pool import FAILURES, lent
from passbook.eventstore.postgres import PostgresEventStore
from passbook.service import Health
from services.query_api.authentication import Authenticator
from services.query_api.known_owners import KnownOwners

READ_TIMEOUT_S: Final = 5.0
"""What a read waits for a database, at most."""
_WATCH_S: Final = 2.0
_PROBE: Final = "SELECT 1"


@dataclass(frozen=True, slots=True)
class Backend:
    """The servers, as the routes see them.

    `events` and `rows` are pools of the event store's and of the read models' database, which may be
    one; `balance_bell` rings when balances have changed, `events_bell` when events were appended.
    """

    store: PostgresEventStore
    events: asyncpg.Pool
    rows: asyncpg.Pool
    bank: PassbookClient
    balance_bell: DoorbellListener
    events_bell: DoorbellListener
    owners: KnownOwners = field(default_factory=KnownOwners)


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
            health.not_ready(f"PostgreSQL: {error or type(error).__name__}")
        else:
            trouble = "" if authenticator is None else await authenticator.trouble()
            if trouble and not stop.is_set():
                health.not_ready(trouble)
            elif not stop.is_set():
                health.ready()
        await asyncio.sleep(_WATCH_S)
