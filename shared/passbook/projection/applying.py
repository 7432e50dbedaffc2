"""One batch of events, one transaction: the positions move and the rows change, or neither does."""

from collections.abc import Mapping, Sequence

import asyncpg

from passbook.domain.errors import UnknownEventType, UnknownSchemaVersion
from passbook.eventstore.pool import said
from passbook.messaging.events import PublishedEvent
from passbook.projection.parking import MISFITS, Parking
from passbook.projection.positions import Positions
from passbook.projection.protocol import Projection, ProjectionStopped


class Applier:
    """Applies batches to a projection's rows, wherever the events come from."""

    def __init__(self, projection: Projection) -> None:
        """Start without knowing anything; `load` comes first."""
        self._projection = projection
        self._positions = Positions(projection.name)
        self._parking = Parking(projection, self._positions)

    async def load(self, connection: asyncpg.Connection) -> dict[int, int]:
        """Read slot → number of the last applied event, and which accounts are parked."""
        positions = await self._positions.load(connection)
        await self._parking.load(connection)
        return positions

    async def apply(
        self,
        connection: asyncpg.Connection,
        events: Sequence[PublishedEvent],
        expected: Mapping[int, int],
        reached: Mapping[int, int],
    ) -> None:
        """Apply the next events of some slots, which move them from `expected` to `reached`.

        An account whose events do not fit is parked where the projection allows it. Inside a
        transaction of the caller, this is a part of it.

        Raises:
            Fenced: somebody else has moved a slot since `load`; nothing has changed.
            ProjectionStopped: events do not fit, or this code is too old for them.
        """
        schema = self._projection.schema
        try:
            async with connection.transaction():
                await self._positions.advance(connection, expected, reached, schema)
                known = await self._parking.without(connection, events)
                await self._projection.apply(connection, known)
        except (UnknownEventType, UnknownSchemaVersion) as error:
            raise ProjectionStopped(str(error)) from error
        except MISFITS as error:
            if not self._projection.parks:
                raise ProjectionStopped(said(error)) from error
            async with connection.transaction():
                await self._positions.advance(connection, expected, reached, schema)
                known = await self._parking.without(connection, events)
                await self._parking.apply(connection, known)
