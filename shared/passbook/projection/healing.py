"""Healing: a parked account is taken back into its read model, by folding all its events anew.

In one transaction, for one account: the position of its slot is locked, so that no instance of the
projector can commit anything of this slot meanwhile; its rows go; its events up to that position
are applied; the account is no longer parked; and the slot's generation is counted on, so that every
live instance is fenced at its next commit, reads anew who is parked, and goes on with this account
where the position is. Or nothing of that happens, and only the reason is a new one.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from passbook.eventstore.errors import StoreMismatch, StoreUnavailable
from passbook.eventstore.pool import FAILURES, lent, said
from passbook.eventstore.store import EventStore, RecordedEvent
from passbook.messaging.cloudevents import format_time
from passbook.projection.parking import MISFITS
from passbook.projection.protocol import ParkingProjection, doorbell_channel
from passbook.projection.recorded import from_recorded

_TIMEOUT_S: Final = 120.0

_PARKED: Final = """
SELECT account_id, slot, slot_seq, events, reason, parked_at
  FROM projections.parked WHERE projection = $1 ORDER BY parked_at, account_id
"""
_POSITION: Final = "SELECT slot_seq FROM projections.positions WHERE projection = $1 AND slot = $2"
_LOCK: Final = _POSITION + " FOR UPDATE"
_IS_PARKED: Final = (
    "SELECT EXISTS (SELECT FROM projections.parked WHERE projection = $1 AND account_id = $2)"
)
_ENTER: Final = "SELECT set_config('search_path', $1, true)"
_UNPARK: Final = "DELETE FROM projections.parked WHERE projection = $1 AND account_id = $2"
_NEW_GENERATION: Final = """
UPDATE projections.positions SET generation = generation + 1 WHERE projection = $1 AND slot = $2
"""
_NEW_REASON: Final = """
UPDATE projections.parked SET reason = $3 WHERE projection = $1 AND account_id = $2
"""
_RING: Final = "SELECT pg_notify($1, '')"


class ParkedAccount(NamedTuple):
    """An account that a projection leaves out, from the number `slot_seq` of its slot on; `events`
    counts what was left out until now.
    """

    account_id: UUID
    slot: int
    slot_seq: int
    events: int
    reason: str
    parked_at: datetime

    def to_dict(self) -> dict[str, object]:
        """Return the document of `passbook projection parked --json`."""
        return self._asdict() | {
            "account_id": str(self.account_id),
            "parked_at": format_time(self.parked_at),
        }


class Refolded(NamedTuple):
    """What came of an account: `reason` is None when it is back, with so many events applied."""

    account_id: UUID
    events: int
    reason: str | None


async def parked_accounts(
    connection: asyncpg.Pool | asyncpg.Connection, projection: str
) -> list[ParkedAccount]:
    """Return the accounts that a projection leaves out, those parked first at first."""
    rows = await connection.fetch(_PARKED, projection)
    return [ParkedAccount._make(row) for row in rows]


class Healing:
    """Takes accounts back into one projection, while its projectors work."""

    def __init__(
        self, projection: ParkingProjection, owner: asyncpg.Pool, store: EventStore
    ) -> None:
        """`owner` is on the database of the read model, as the login that owns it: projectors may
        not delete rows.
        """
        self._projection = projection
        self._owner = owner
        self._store = store

    async def refold(self, account: ParkedAccount) -> Refolded:
        """Fold an account anew from the store. One that somebody else has taken back is back.

        Raises:
            StoreUnavailable: a database does not answer; try again.
            StoreMismatch: the login may not do it.
            UnknownEventType, UnknownSchemaVersion: this code is too old for its events.
        """
        name, account_id, slot = self._projection.name, account.account_id, account.slot
        async with self._connection() as connection:
            position = await connection.fetchval(_POSITION, name, slot)
        # Read before the lock is taken: only what has come meanwhile is read under it.
        events = await self._read(account_id, slot, position, [])
        async with self._connection() as connection:
            async with connection.transaction():
                position = await connection.fetchval(_LOCK, name, slot)
                if not await connection.fetchval(_IS_PARKED, name, account_id):
                    return Refolded(account_id, 0, None)
                events += await self._read(account_id, slot, position, events)
                reason = await self._replace(connection, account, events)
            if reason is None:
                await connection.execute(_RING, doorbell_channel(name))
        return Refolded(account_id, len(events), reason)

    async def _read(
        self, account_id: UUID, slot: int, up_to: int, known: Sequence[RecordedEvent]
    ) -> list[RecordedEvent]:
        after = known[-1].version if known else 0
        return await self._store.read_streams([account_id], {slot: up_to}, {account_id: after})

    async def _replace(
        self,
        connection: asyncpg.Connection,
        account: ParkedAccount,
        events: Sequence[RecordedEvent],
    ) -> str | None:
        """Replace the account's rows; return why that cannot be, with everything as it was."""
        name, account_id = self._projection.name, account.account_id
        try:
            async with connection.transaction():
                await connection.execute(_ENTER, self._projection.schema)
                await self._projection.forget(connection, account_id)
                await self._projection.apply(connection, [from_recorded(one) for one in events])
        except MISFITS as error:
            reason = str(error)
            await connection.execute(_NEW_REASON, name, account_id, reason)
            return reason
        await connection.execute(_UNPARK, name, account_id)
        await connection.execute(_NEW_GENERATION, name, account.slot)
        return None

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            async with lent(self._owner, _TIMEOUT_S) as connection:
                yield connection
        except asyncpg.InsufficientPrivilegeError as error:
            message = f"{error}: parked accounts are healed by the login that owns the read model"
            raise StoreMismatch(message) from error
        except FAILURES as error:
            raise StoreUnavailable(said(error)) from error
