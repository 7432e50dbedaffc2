"""The second half of the story: what the bank knows afterwards, from every side of it."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, TypeVar
from uuid import UUID

import asyncpg
from rich.table import Table

from passbook.cli.demo.asking import ACTOR, Cast
from passbook.cli.demo.report import Report
from passbook.cli.event_facts import facts
from passbook.domain.account import BankAccount
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.past import account_at
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.store import RecordedEvent
from passbook.messaging.tail import Tail
from services.audit_projector.queries import audit_trail
from services.audit_projector.verify import verify
from services.balance_projector.queries import AccountRow, account_row

VISIBLE_BOUND_S: Final = 10.0
_LOOK_AGAIN_S: Final = 0.005
_ALICE: Final = ("Alice", Decimal("650.00"), "active", 5)
_BOB: Final = ("Bob", Decimal("174.50"), "closed", 4)

Seen = TypeVar("Seen")


class Reading:
    """Looks at the accounts of the story, and checks what it sees."""

    def __init__(  # noqa: PLR0913 - every side of the bank is one more
        self,
        events: asyncpg.Pool,
        rows: asyncpg.Pool,
        topic: Tail,
        report: Report,
        cast: Cast,
        archive: Archive,
    ) -> None:
        """Read from the event store, the read models, and the event topic (since the beginning of
        the story).
        """
        self._archive = archive
        self._events = events
        self._rows = rows
        self._store = PostgresEventStore(events, archive)
        self._topic = topic
        self._report = report
        self._cast = cast

    async def play(self) -> None:
        """Check what is visible to everybody."""
        await self._balances()
        await self._history()
        await self._past()
        await self._published()

    async def _balances(self) -> None:
        self._report.chapter(
            "Balances", "The relay published the events, the balance projector keeps this table."
        )
        began = time.perf_counter()
        expected = {self._cast.alice: _ALICE, self._cast.bob: _BOB}

        async def seen() -> list[AccountRow]:
            async with self._rows.acquire() as connection:
                rows = [await account_row(connection, account_id) for account_id in expected]
            return [row for row in rows if row is not None]

        def complete(rows: Sequence[AccountRow]) -> bool:
            return {row.account_id: _told(row) for row in rows} == expected

        rows = await _until(seen, complete)
        waited_ms = (time.perf_counter() - began) * 1000
        table = _table("account", "owner", "balance", "status", "version")
        for row in rows:
            table.add_row(
                str(row.account_id), row.owner_name, f"{row.balance}", row.status, str(row.version)
            )
        self._report.show(table)
        self._report.check(
            "the view shows every outcome",
            f"{waited_ms:.0f} ms after the last one",
            ok=complete(rows),
        )

    async def _history(self) -> None:
        self._report.chapter(
            "Alice's history", "Nothing is ever overwritten: these rows are the account."
        )
        history = await self._store.history(self._cast.alice)
        table = _table("version", "event", "", "recorded")
        for event in history:
            moment = f"{event.recorded_at:%H:%M:%S.%f}"
            table.add_row(str(event.version), event.event_type, facts(event), moment)
        self._report.show(table)
        versions = [event.version for event in history]
        self._report.check(
            "versions have no holes",
            f"{len(versions)} events",
            ok=versions == list(range(1, _ALICE[-1] + 1)),
        )

    async def _past(self) -> None:
        self._report.chapter(
            "Alice's account as it was", "What had been recorded by a moment, folded again."
        )
        history = await self._store.history(self._cast.alice)
        for event, balance in zip(history, ("500.00", "700.00", "650.00"), strict=False):
            moment = event.recorded_at
            account = await self._as_of(self._cast.alice, moment)
            self._report.check(
                f"at {moment:%H:%M:%S.%f}",
                f"balance {account.balance}, version {account.version}",
                ok=(str(account.balance), account.version) == (balance, event.version),
            )

    async def _as_of(self, account_id: UUID, moment: datetime) -> BankAccount:
        state = await account_at(self._store, account_id, moment)
        assert state is not None, "it was open by then"
        return state.account

    async def _published(self) -> None:
        self._report.chapter(
            "What every subscriber gets", "Read from Kafka since the beginning of this story."
        )
        stored = {
            str(account_id).encode(): _on_the_wire(await self._store.history(account_id))
            for account_id in (self._cast.alice, self._cast.bob)
        }
        received: dict[bytes, list[tuple[bytes, bytes]]] = defaultdict(list)

        async def read() -> dict[bytes, list[tuple[bytes, bytes]]]:
            for record in await self._topic.poll(_LOOK_AGAIN_S):
                if record.key in stored:
                    version = dict(record.headers)["ce_version"]
                    received[record.key].append((version, record.value))
            return received

        await _until(read, lambda found: found == stored)
        self._report.check(
            "events in order, byte for byte",
            f"{sum(map(len, received.values()))} records, as they are stored",
            ok=received == stored,
        )

    async def prove(self) -> None:
        """Check the evidence."""
        self._report.chapter(
            "Evidence", "The audit log is chained by hashes, in other hands than the event store."
        )
        alice = self._cast.alice
        async with self._rows.acquire() as entries, self._events.acquire() as events:
            trail = await _until(
                lambda: audit_trail(entries, alice),
                lambda found: len(found) >= _ALICE[-1],
            )
            self._report.check(
                "the audit log names who did it",
                f"{len(trail)} entries about Alice",
                ok=[entry.actor for entry in trail] == [ACTOR] * _ALICE[-1],
            )
            found = await verify(entries, events, _unwatched, archive=self._archive)
        first = f": slot {found.differences[0].slot}" if found.differences else ""
        self._report.check(
            "the audit chains are whole",
            f"{found.entries} entries agree with the event store{first}",
            ok=found.ok,
        )


def _unwatched(_done: int, _all: int) -> None:
    """The story is quick enough without a bar."""


def _on_the_wire(events: Sequence[RecordedEvent]) -> list[tuple[bytes, bytes]]:
    return [(str(event.version).encode(), event.data.encode()) for event in events]


async def _until(look: Callable[[], Awaitable[Seen]], enough: Callable[[Seen], bool]) -> Seen:
    """Return what is seen as soon as it is enough, or when the time is up."""
    deadline = time.monotonic() + VISIBLE_BOUND_S
    while True:
        seen = await look()
        if enough(seen) or time.monotonic() > deadline:
            return seen
        await asyncio.sleep(_LOOK_AGAIN_S)


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")


def _told(row: AccountRow) -> tuple[str, Decimal, str, int]:
    return row.owner_name, row.balance, row.status, row.version
