"""Leadership: session locks in PostgreSQL say who publishes which slots.

The slots are dealt into `groups` groups, `slot % groups`, which leaves every partition whole. Relays
share the groups out without asking anybody. Each draws a number, which it holds as a lock too, and
all see the same numbers: group *g* is for the one at place `g % relays`, in the order in which they
came. Everybody takes what is his as soon as it is free, and gives up what is not. When a relay comes
or goes, all see that within one look.

The locks save work, they are not what keeps the log right: a leader that lost its session and has
not noticed can only append repeats, because all it sends is contiguous and starts at or below the
tail. So relays with another number of groups do not see each other, and publish everything twice.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import asyncpg
import structlog

from passbook.domain.slots import SLOT_COUNT
from passbook.eventstore.errors import StoreUnavailable
from passbook.eventstore.pool import FAILURES, said
from passbook.telemetry import RELAY_GROUPS, RELAY_GROUPS_LEADING, RELAY_LEADING
from services.outbox_relay.queries import lock_of

# What `pg_locks` tells of a session lock of two integers: classid is the first one, as unsigned.
_NUMBERS: Final = """
SELECT objid::bigint FROM pg_locks
 WHERE locktype = 'advisory' AND objsubid = 2 AND granted
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND classid::bigint = hashtext('passbook outbox relays of ' || $1)::bigint & 4294967295
 ORDER BY 1
"""
_DRAW: Final = "SELECT pg_try_advisory_lock(hashtext('passbook outbox relays of ' || $1), $2)"
_TAKE: Final = """
SELECT n, pg_try_advisory_lock(hashtext('passbook outbox relay'), n) FROM unnest($1::integer[]) n
"""
_GIVE: Final = """
SELECT pg_advisory_unlock(hashtext('passbook outbox relay'), n) FROM unnest($1::integer[]) n
"""
_LOOK_EVERY_S: Final = 0.3
_TIMEOUT_S: Final = 5.0
# A relay that is frozen, or whose machine is gone, keeps its connection and says nothing. The server
# ends such a session, and with it the locks.
_SILENT_MS: Final = 3_000

log = structlog.get_logger()


class Leadership:
    """Holds the locks of this relay's groups for as long as its connection lives.

    `run` has to run alongside whoever asks.
    """

    def __init__(self, dsn: str, groups: int = 1) -> None:
        """Remember where the locks are. Connects directly: a pooler would share the session."""
        self._dsn = dsn
        self._groups = groups
        self._connection: asyncpg.Connection = None
        self._number = 0
        self._held: frozenset[int] = frozenset()
        self._mine: frozenset[int] = frozenset()
        self._given: set[int] = set()
        self._lost: StoreUnavailable | None = None
        self._moved = asyncio.Event()
        self._look = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Connect, and be seen by the other relays.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        try:
            self._connection = await asyncpg.connect(
                self._dsn,
                timeout=_TIMEOUT_S,
                server_settings={
                    "application_name": "passbook-relay-lock",
                    "idle_session_timeout": str(_SILENT_MS),
                },
            )
        except FAILURES as error:
            raise StoreUnavailable(said(error)) from error
        RELAY_GROUPS.set(self._groups)
        await self._draw()
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Give up all locks."""
        RELAY_LEADING.set(0)
        RELAY_GROUPS_LEADING.set(0)
        with suppress(*FAILURES):
            await self._connection.close(timeout=_TIMEOUT_S)

    @property
    def groups(self) -> frozenset[int]:
        """The groups to publish: locked, and to stay so. One that is missing here, and was here
        before, waits to be `released`.

        Raises:
            StoreUnavailable: the session, and with it every lock, is lost; stop publishing.
        """
        if self._lost is not None:
            raise self._lost
        return self._mine

    async def moved(self, timeout_s: float) -> None:
        """Return when `groups` has changed, or after the timeout."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._moved.wait()
        self._moved.clear()

    def release(self, groups: Iterable[int]) -> None:
        """Let others have groups of which nothing is being published any more."""
        self._given |= set(groups)
        self._look.set()

    async def run(self) -> None:
        """Look around, until cancelled or until the session is lost."""
        try:
            told: frozenset[int] | None = None
            while True:
                await self._share_out()
                if self._mine != told:
                    told = self._mine
                    self._tell()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await self._look.wait()
                self._look.clear()
        except StoreUnavailable as error:
            self._lost = error
            self._moved.set()

    async def _share_out(self) -> None:
        if self._given:
            given, self._given = self._given, set()  # more may be released during the question
            await self._ask(_GIVE, [lock_of(group, self._groups) for group in sorted(given)])
            self._held -= given
        numbers = [row[0] for row in await self._ask(_NUMBERS, str(self._groups))]
        place, relays = numbers.index(self._number), len(numbers)
        home = frozenset(group for group in range(self._groups) if group % relays == place)
        if wanted := sorted(home - self._held):
            locks = {lock_of(group, self._groups): group for group in wanted}
            taken = await self._ask(_TAKE, list(locks))
            self._held |= {locks[lock] for lock, won in taken if won}
        self._mine = self._held & home

    async def _draw(self) -> None:
        """Draw the number after the last one; again, when another relay draws it first."""
        groups = str(self._groups)
        while True:
            numbers = [row[0] for row in await self._ask(_NUMBERS, groups)]
            self._number = max(numbers, default=0) + 1
            ((drawn,),) = await self._ask(_DRAW, groups, self._number)
            if drawn:
                return

    def _tell(self) -> None:
        self._moved.set()
        RELAY_LEADING.set(bool(self._mine))
        RELAY_GROUPS_LEADING.set(len(self._mine))
        if self._mine:
            log.info("relay.leading", groups=sorted(self._mine), of=self._groups)
        else:
            log.info("relay.standby")

    async def _ask(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                rows: list[asyncpg.Record] = await self._connection.fetch(query, *arguments)
                return rows
        except FAILURES as error:
            self._connection.terminate()
            message = f"the relay's session is lost: {said(error)}"
            raise StoreUnavailable(message) from error


def slots_of(groups: Iterable[int], of: int) -> list[int]:
    """Return the slots of some of `of` groups."""
    wanted = set(groups)
    return [slot for slot in range(SLOT_COUNT) if slot % of in wanted]
