"""Leadership: a session lock in PostgreSQL says who publishes.

The lock saves work, it is not what keeps the log right: a leader that lost its session and has not
noticed can only append repeats, because all it sends is contiguous and starts at or below the tail.
"""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import asyncpg
import structlog

from passbook.eventstore.errors import StoreUnavailable
from passbook.eventstore.pool import FAILURES
from passbook.telemetry import RELAY_LEADING

_TRY: Final = "SELECT pg_try_advisory_lock(hashtext('passbook outbox relay'), $1)"
_PROBE: Final = "SELECT 1"
_TRY_EVERY_S: Final = 0.3
_TIMEOUT_S: Final = 5.0

log = structlog.get_logger()


class Leadership:
    """Holds the lock of one slot group for as long as its connection lives."""

    def __init__(self, dsn: str, *, slot_group: int = 0) -> None:
        """Remember where the lock is. Connects directly: a pooler would share the session."""
        self._dsn = dsn
        self._slot_group = slot_group
        self._connection: asyncpg.Connection = None

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        try:
            self._connection = await asyncpg.connect(
                self._dsn,
                timeout=_TIMEOUT_S,
                server_settings={"application_name": "passbook-relay-lock"},
            )
        except FAILURES as error:
            raise StoreUnavailable(str(error)) from error
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Give up the lock."""
        RELAY_LEADING.set(0)
        with suppress(*FAILURES):
            await self._connection.close(timeout=_TIMEOUT_S)

    async def won(self, stop: asyncio.Event) -> bool:
        """Return True as soon as nobody else leads, False when `stop` is set before that."""
        standing_by = False
        while not stop.is_set():
            if await self._ask(_TRY, self._slot_group):
                RELAY_LEADING.set(1)
                log.info("relay.leading")
                return True
            if not standing_by:
                standing_by = True
                log.info("relay.standby")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _TRY_EVERY_S)
        return False

    async def probe(self) -> None:
        """Return if the session, and with it the lock, is still there.

        Raises:
            StoreUnavailable: it is not; stop publishing.
        """
        await self._ask(_PROBE)

    async def _ask(self, query: str, *arguments: object) -> object:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return await self._connection.fetchval(query, *arguments)
        except FAILURES as error:
            self._connection.terminate()
            message = f"the relay's session is lost: {error or type(error).__name__}"
            raise StoreUnavailable(message) from error
