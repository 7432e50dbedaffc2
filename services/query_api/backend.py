"""What the routes stand on: opened once, by the wiring."""

from dataclasses import dataclass

import asyncpg

from passbook.client.client import PassbookClient
from passbook.eventstore.doorbell import DoorbellListener
from passbook.eventstore.postgres import PostgresEventStore


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
