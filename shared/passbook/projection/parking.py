"""Parked accounts: one whose events do not fit is left out, so that everybody else flows.

Its row says why and from where on; its further events are counted. Which accounts are parked is
remembered here and read anew whenever the positions are: an account that another instance has
parked belongs to a slot whose position that instance has moved, so this one is fenced first.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

import asyncpg
import structlog

from passbook.eventstore.pool import said
from passbook.logs import ids
from passbook.messaging.events import PublishedEvent
from passbook.projection.positions import Positions
from passbook.projection.protocol import CannotApply, Projection, ProjectionStopped
from passbook.telemetry import PROJECTION_PARKED

MISFITS: Final = (CannotApply, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
"""What `Projection.apply` raises when events do not fit the rows they should change."""

_MOST_PARKED: Final = 100

log = structlog.get_logger()


class Parking:
    """The parked accounts of one projection. Everything here happens in the transaction that moves
    the positions.
    """

    def __init__(self, projection: Projection, positions: Positions) -> None:
        """Start empty; `load` reads what is parked."""
        self._projection = projection
        self._positions = positions
        self._accounts: set[str] = set()

    async def load(self, connection: asyncpg.Connection) -> None:
        """Read which accounts are parked. To be called after the positions are read."""
        self._accounts = await self._positions.parked(connection)
        self._tell()

    async def without(
        self, connection: asyncpg.Connection, events: Sequence[PublishedEvent]
    ) -> Sequence[PublishedEvent]:
        """Return the events of accounts that are not parked, and count the others."""
        if not self._accounts:
            return events
        left_out = Counter(e.account_id for e in events if e.account_id in self._accounts)
        if left_out:
            await self._positions.count(connection, list(left_out), list(left_out.values()))
        return [event for event in events if event.account_id not in self._accounts]

    async def apply(self, connection: asyncpg.Connection, events: Sequence[PublishedEvent]) -> None:
        """Apply a batch in which something does not fit: account by account, parking those whose
        events are the reason.

        Raises:
            ProjectionStopped: there are too many of them.
        """
        by_account: dict[str, list[PublishedEvent]] = defaultdict(list)
        for event in events:
            by_account[event.account_id].append(event)
        for account_id, history in by_account.items():
            try:
                async with connection.transaction():
                    await self._projection.apply(connection, history)
            except MISFITS:
                await self._as_far_as_it_fits(connection, account_id, history)

    async def _as_far_as_it_fits(
        self, connection: asyncpg.Connection, account_id: str, history: Sequence[PublishedEvent]
    ) -> None:
        """Apply an account's events one by one, and park it from the one that does not fit.

        Its row is then as of the last event that does, however the events came in batches: a
        rebuild, which has larger ones, leaves the same row behind.
        """
        for number, event in enumerate(history):
            try:
                async with connection.transaction():
                    await self._projection.apply(connection, [event])
            except MISFITS as error:
                await self._park(connection, account_id, history[number:], error)
                return

    async def _park(
        self,
        connection: asyncpg.Connection,
        account_id: str,
        history: Sequence[PublishedEvent],
        error: Exception,
    ) -> None:
        # Others may have parked or healed some in other slots: the limit is the projection's.
        self._accounts = await self._positions.parked(connection)
        if len(self._accounts) >= _MOST_PARKED:
            message = (
                f"{len(self._accounts)} accounts are parked already and {account_id} does not fit "
                f"either ({said(error)}): this is no single account's problem; mend the cause and take them "
                f"back with `passbook projection parked {self._projection.name} --retry`, or rebuild "
                "the projection"
            )
            raise ProjectionStopped(message)
        log.error(
            "projection.parked",
            projection=self._projection.name,
            account_id=account_id,
            reason=said(error),  # the row has the whole of it
            **ids(history[0].command_id, history[0].correlation_id),
        )
        first = history[0]
        await self._positions.park(
            connection, account_id, first.slot, first.slot_seq, str(error), len(history)
        )
        self._accounts.add(account_id)
        self._tell()

    def _tell(self) -> None:
        PROJECTION_PARKED.labels(self._projection.name).set(len(self._accounts))
