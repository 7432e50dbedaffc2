"""The doorbell: tells whoever waits for new events, or for a read model, not to wait for the next
poll.

A ring may be lost without harm, since every listener polls as well. It is sent from a connection
of its own, never in the transaction that appends: NOTIFY takes a lock over the whole database at
commit (measured: 35 to 80 percent of the appends' throughput).
"""

import asyncio
from contextlib import suppress
from typing import Final

import asyncpg

from passbook.eventstore.pool import FAILURES

EVENTS: Final = "passbook_events"
"""The channel of the event log."""
_RING: Final = "SELECT pg_notify($1, '')"
_PROBE: Final = "SELECT 1"
# A lost ring costs a few milliseconds, so it need not wait for the disk.
_SETTINGS: Final = {"synchronous_commit": "off", "application_name": "passbook-doorbell"}


class Doorbell:
    """Rings at once when it was quiet, and at most every `interval_s` under load."""

    def __init__(self, dsn: str, channel: str = EVENTS, *, interval_s: float = 0.001) -> None:
        """Remember where to ring; `run` connects."""
        self._dsn = dsn
        self._channel = channel
        self._interval_s = interval_s
        self._pressed = asyncio.Event()

    def ring(self) -> None:
        """Ask for a ring; several at once are one."""
        self._pressed.set()

    async def run(self) -> None:
        """Ring when asked to, until cancelled. Reconnects by itself; a failure only costs time."""
        while True:
            with suppress(*FAILURES):
                connection = await asyncpg.connect(self._dsn, server_settings=_SETTINGS, timeout=5)
                try:
                    while True:
                        await self._pressed.wait()
                        self._pressed.clear()
                        await connection.execute(_RING, self._channel, timeout=5)
                        await asyncio.sleep(self._interval_s)
                finally:
                    connection.terminate()
            await asyncio.sleep(1)


class DoorbellListener:
    """Wakes when somebody rang, or when it could have been missed."""

    def __init__(self, dsn: str, channel: str = EVENTS, *, probe_s: float = 15.0) -> None:
        """Remember where to listen; `run` connects."""
        self._dsn = dsn
        self._channel = channel
        self._probe_s = probe_s
        self._next = asyncio.Event()
        self._answered = 0
        self.rings = 0

    async def wait(self, timeout_s: float) -> bool:
        """Return True at the next ring, or at once after one since the last call; False after the
        timeout. For one who waits alone; `heard` is for many.
        """
        rings = await self.heard(self._answered, timeout_s)
        rang = rings > self._answered
        self._answered = rings
        return rang

    async def heard(self, rings: int, timeout_s: float) -> int:
        """Return how often it has rung, as soon as that is more than `rings`, or after the timeout."""
        if self.rings <= rings:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._next.wait()
        return self.rings

    def _heard(self, *_: object) -> None:
        self.rings += 1
        self._next.set()
        self._next = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled. A connection that died silently is noticed by a probe."""
        while True:
            with suppress(*FAILURES):
                connection = await asyncpg.connect(self._dsn, server_settings=_SETTINGS, timeout=5)
                try:
                    await connection.add_listener(self._channel, self._heard)
                    self._heard()
                    while True:
                        await asyncio.sleep(self._probe_s)
                        await connection.execute(_PROBE, timeout=5)
                finally:
                    connection.terminate()
            await asyncio.sleep(1)
