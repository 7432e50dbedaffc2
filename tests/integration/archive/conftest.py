"""A ledger that can be archived: everything is published and applied."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg
import pytest

from passbook.domain.account import BankAccount
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.archive.planning import Choice
from passbook.eventstore.archive.run import Archived, Watch, run_archive
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.repository import AccountRepository
from passbook.eventstore.store import RecordedEvent
from services.audit_projector.projection import AuditProjection
from services.balance_projector.projection import BalanceProjection
from tests.support.accounts import account_ids, busy
from tests.support.databases import OpenPool
from tests.support.projected import project

SLOT: Final = 5
OTHER_SLOT: Final = 9
FAR: Final = datetime(2999, 1, 1, tzinfo=UTC)
EVERYTHING: Final = Choice(FAR)
CLOSED: Final = Choice(None)

_PUBLISH: Final = """
INSERT INTO eventstore.relay_positions (slot, published_seq, partition, kafka_offset)
SELECT slot, head, slot % 16, 0 FROM eventstore.slots
    ON CONFLICT (slot) DO UPDATE SET published_seq = excluded.published_seq
"""


@dataclass(frozen=True, slots=True)
class Books:
    """A ledger: `store` reads through to the archive, `plain` has none configured."""

    pool: asyncpg.Pool
    archive: Archive
    store: PostgresEventStore
    plain: PostgresEventStore

    async def save(self, *accounts: BankAccount) -> None:
        """Store what is pending."""
        for account in accounts:
            await AccountRepository(self.store).save(account)

    async def current(self) -> None:
        """Have everything published and applied."""
        await self.pool.execute(_PUBLISH)
        await project(self.pool, BalanceProjection(), AuditProjection())

    async def run(self, choice: Choice = EVERYTHING, watch: Watch | None = None) -> Archived:
        """Archive; everything is published and applied before."""
        await self.current()
        return await run_archive(self.pool, self.pool, self.archive, choice, watch or Watch())

    async def log(self, store: PostgresEventStore | None = None) -> list[RecordedEvent]:
        """Return the whole log, read in small portions."""
        found: list[RecordedEvent] = []
        for slot in range(64):
            after = 0
            while events := await (store or self.store).read_slot(slot, after, 3):
                found += events
                after = events[-1].slot_seq
        return found

    async def in_table(self) -> int:
        """Return how many events are in the table."""
        count: int = await self.pool.fetchval("SELECT count(*) FROM eventstore.events")
        return count

    def files(self, pattern: str = "*") -> Sequence[Path]:
        """Return the files of the archive."""
        return sorted(self.archive.directory.glob(pattern))


@pytest.fixture
async def books(pools: OpenPool, tmp_path: Path) -> Books:
    """Give an empty ledger whose archive is a directory that does not exist yet."""
    pool = await pools()
    archive = Archive(tmp_path / "archive")
    return Books(pool, archive, PostgresEventStore(pool, archive), PostgresEventStore(pool))


@pytest.fixture
async def account_id(books: Books) -> UUID:
    """Give a ledger with five accounts in two slots, 22 events; this one is the first account."""
    ids = account_ids(SLOT)
    others = account_ids(OTHER_SLOT)
    first = busy(next(ids), movements=5)
    closed = busy(next(ids), movements=2)
    closed.close()
    await books.save(first, closed, busy(next(ids)), busy(next(others)), busy(next(others)))
    return first.id
