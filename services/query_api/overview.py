"""Figures for a console: what they cost is bounded, whatever the ledger's size."""

import asyncio
import time
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

import asyncpg

from passbook.eventstore.pool import lent
from passbook.messaging.cloudevents import format_time
from passbook.projection.lag import projection_lags
from services.balance_projector.queries import account_figures
from services.outbox_relay.queries import relay_backlog

_TIMEOUT_S: Final = 5.0
_FRESH_S: Final = 1.0
_SHARE: Final = 50
"""Taking the figures reads every account once. They are taken again after this many times as long as
that took, and not before a second: it never costs more than a fiftieth of a connection."""
_EVENTS: Final = "SELECT sum(head)::bigint FROM eventstore.slots"


class Overview:
    """Takes the figures when somebody asks and they are not fresh any more."""

    def __init__(self, events: asyncpg.Pool, rows: asyncpg.Pool) -> None:
        """Read the databases of the event store and of the read models."""
        self._events = events
        self._rows = rows
        self._taking = asyncio.Lock()
        self._figures: dict[str, Any] = {}
        self._fresh_until = 0.0

    async def figures(self) -> dict[str, Any]:
        """Return the document of `GET /v1/overview`.

        Raises:
            What the driver does.
        """
        async with self._taking:
            started = time.monotonic()
            if started >= self._fresh_until:
                self._figures = await self._take()
                now = time.monotonic()
                self._fresh_until = now + max(_FRESH_S, _SHARE * (now - started))
            return self._figures

    async def _take(self) -> dict[str, Any]:
        async with (
            lent(self._rows, _TIMEOUT_S) as read_model,
            lent(self._events, _TIMEOUT_S) as event_store,
        ):
            accounts, total = await account_figures(read_model)
            backlog = await relay_backlog(event_store)
            lags = await projection_lags(read_model, event_store)
            events = await event_store.fetchval(_EVENTS)
        return {
            "service_version": version("passbook"),
            "taken_at": format_time(datetime.now(UTC)),
            "accounts": accounts,
            "balance_sum": str(total),
            "events": events,
            "relay": {"backlog_events": backlog.events, "backlog_s": backlog.seconds},
            "projections": [
                {
                    "name": lag.name,
                    "events_behind": lag.events_behind,
                    "seconds_behind": lag.seconds_behind,
                    "parked": lag.parked,
                }
                for lag in lags
            ],
        }
