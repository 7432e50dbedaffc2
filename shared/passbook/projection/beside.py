"""A projection once more: the same code, other tables, positions of its own."""

from collections.abc import Sequence
from enum import StrEnum

import asyncpg

from passbook.messaging.events import PublishedEvent
from passbook.projection.protocol import Projection


class Role(StrEnum):
    """What a copy is for; it is the end of its name and of its schema's."""

    NEXT = "next"
    """Is being built, and takes the place of the live one."""
    OLD = "old"
    """Was the live one before, and is kept for going back."""
    CHECK = "check"
    """Is built to be compared, and dropped."""


class Beside:
    """The copy of a projection in a schema beside it. Keeps `Projection`."""

    def __init__(self, projection: Projection, role: Role) -> None:
        """Name it after the projection and its role."""
        self._projection = projection
        self.name = f"{projection.name}_{role}"
        self.schema = f"{projection.schema}_{role}"
        self.writer = projection.writer
        self.version = projection.version
        self.ddl = projection.ddl
        self.needs = projection.needs
        self.parks = projection.parks
        self.evidence = projection.evidence
        self.gather_s = 0.0

    async def apply(self, connection: asyncpg.Connection, events: Sequence[PublishedEvent]) -> None:
        """See `Projection.apply`."""
        await self._projection.apply(connection, events)
