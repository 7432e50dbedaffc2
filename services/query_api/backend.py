"""What the routes stand on: opened once, by the wiring."""

import asyncio
from dataclasses import dataclass
from typing import Final

import asyncpg

from passbook.client import PassbookClient
from passbook.eventstore.doorbell import DoorbellListener
from passbook.eventstore.pool import FAILURES, lent
from passbook.eventstore.postgres import PostgresEventStore
from passbook.service import Health

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


async def watch(backend: Backend, stop: asyncio.Event, health: Health) -> None:
    """Say whether the databases answer, until `stop` is set or it is cancelled. Requests need not be told: each finds out
    by itself, and the pools connect again.
    """
    while not stop.is_set():
        try:
            for pool in (backend.events, backend.rows):
                async with lent(pool, READ_TIMEOUT_S) as connection:
                    await connection.execute(_PROBE)
        except FAILURES as error:
            health.not_ready(f"PostgreSQL: {error or type(error).__name__}")
        else:
            if not stop.is_set():
                health.ready()
        await asyncio.sleep(_WATCH_S)
