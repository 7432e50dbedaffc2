"""The old part of the log in files: moved there, read through to, and brought back."""

import asyncio
import time
from typing import Final
from uuid import UUID

import asyncpg

from passbook.cli.demo.report import Report
from passbook.config import Settings
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.archive.planning import Choice
from passbook.eventstore.archive.restore import restore_archives
from passbook.eventstore.archive.run import Archived, run_archive
from passbook.eventstore.archive.verification import verify_archive
from passbook.eventstore.errors import ArchiveRefused
from passbook.eventstore.postgres import PostgresEventStore
from passbook.service import database_pool

_APPLICATION: Final = "passbook-demo"
_CLOSED: Final = Choice(before=None)
_COVERED_BOUND_S: Final = 10.0
_LOOK_AGAIN_S: Final = 0.1


class Archiving:
    """Archives the closed accounts of a bank that runs, and puts them back."""

    def __init__(
        self, settings: Settings, owner_dsn: str, rows: asyncpg.Pool, report: Report
    ) -> None:
        """`owner_dsn` is a login that owns the event store, `rows` a pool on the read models."""
        self._settings = settings
        self._owner_dsn = owner_dsn
        self._rows = rows
        self._report = report
        self._archive = Archive(settings.archive)
        self._moved: Archived | None = None

    async def move(self, closed: UUID) -> None:
        """Archive closed accounts, and read one of them."""
        self._report.chapter(
            "An archive",
            "What is old moves into Parquet files, verified before a row is removed. Every reader "
            "reads through to them.",
        )
        async with database_pool(self._owner_dsn, _APPLICATION) as owner:
            store = PostgresEventStore(owner, self._archive)
            before = await store.history(closed)
            self._moved = moved = await self._run(owner)
            self._report.check(
                "closed accounts are archived",
                f"{moved.events:,} events of {moved.streams:,} accounts, {moved.bytes:,} bytes, "
                f"manifest {moved.manifest}",
                ok=moved.events > 0,
            )
            after = await store.history(closed)
            self._report.check(
                "Bob's history reads as before",
                f"{len(after)} events, from the files and the table",
                ok=after == before,
            )
            async with owner.acquire() as connection:
                found = await verify_archive(connection, self._archive)
        self._report.check(
            "the archive is whole",
            f"every segment has the hash in its manifest: {found.segments:,} read",
            ok=found.ok,
        )

    async def _run(self, owner: asyncpg.Pool) -> Archived:
        """Archive as soon as everybody is known to have had the events: the relay writes down how
        far it is once a second.
        """
        deadline = time.monotonic() + _COVERED_BOUND_S
        while True:
            try:
                return await run_archive(owner, self._rows, self._archive, _CLOSED)
            except ArchiveRefused:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_LOOK_AGAIN_S)

    async def bring_back(self) -> None:
        """Leave the bank as it was found."""
        if self._moved is None or self._moved.manifest is None:
            return
        async with database_pool(self._owner_dsn, _APPLICATION) as owner:
            restored = await restore_archives(owner, self._archive, self._moved.manifest)
        self._report.check(
            "and brought back",
            f"{restored.events:,} events are in the table again",
            ok=restored.events == self._moved.events,
        )
