"""The clock of a test's event store: it can be set back, as a failover to another server can do."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg

# The functions of the event store look for names in its schema first.
_MAKE: Final = """
CREATE TABLE eventstore.test_clock (ahead interval NOT NULL);
INSERT INTO eventstore.test_clock VALUES ('0');
CREATE FUNCTION eventstore.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    'SELECT pg_catalog.clock_timestamp() + ahead FROM eventstore.test_clock'
"""
_SET: Final = "UPDATE eventstore.test_clock SET ahead = $1"
_NOW: Final = "SELECT eventstore.clock_timestamp()"


@dataclass(frozen=True, slots=True)
class Clock:
    """`owner` owns the schema."""

    owner: asyncpg.Connection

    @classmethod
    async def of(cls, owner: asyncpg.Connection) -> "Clock":
        """Take over the clock. To be called before anything is appended or asked."""
        await owner.execute(_MAKE)
        return cls(owner)

    async def set_ahead(self, by: timedelta) -> None:
        """Let it be so much ahead of the true time."""
        await self.owner.execute(_SET, by)

    async def now(self) -> datetime:
        """Return what it says."""
        now: datetime = await self.owner.fetchval(_NOW)
        return now
