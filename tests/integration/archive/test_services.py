"""A service that meets the archive: it reads through, and stops where it cannot."""

from pathlib import Path

import pytest

from passbook.eventstore.archive.files import Archive
from passbook.eventstore.archive.run import run_archive
from passbook.eventstore.postgres import PostgresEventStore
from passbook.telemetry import PARTITIONS_HELD
from tests.integration.archive.conftest import EVERYTHING, SLOT, Books
from tests.support.accounts import account_ids, busy
from tests.support.databases import OpenPool
from tests.support.ledger import Ledger, running
from tests.support.outsider import command, document
from tests.support.until import until


async def test_a_command_for_an_archived_account_waits_for_a_missing_segment(
    ledger: Ledger, pools: OpenPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is decided on a part of a history. Without snapshots, so that the history is needed."""
    monkeypatch.setenv("PASSBOOK_ARCHIVE_DIR", str(tmp_path))
    pool, archive = await pools(), Archive(tmp_path)
    books = Books(pool, archive, PostgresEventStore(pool, archive), PostgresEventStore(pool))
    ids = account_ids(SLOT)
    account = busy(next(ids))
    await books.save(account, busy(next(ids)))
    await books.current()
    assert (await run_archive(pool, pool, archive, EVERYTHING)).events == 7
    await pool.execute("DELETE FROM eventstore.snapshots")
    (segment,) = books.files("*.parquet")
    away = segment.rename(tmp_path / "away")
    deposit = command("DepositMoney", str(account.id), amount="1.00")
    async with running(ledger.command_service()):
        await ledger.outsider.send(deposit)
        await until(lambda: PARTITIONS_HELD._value.get() == 1, 30)
        assert await ledger.outsider.everything("outcomes") == []
    away.rename(segment)
    async with running(ledger.command_service()):
        outcomes = await ledger.outsider.outcomes([deposit.command_id])
    ((outcome,),) = outcomes.values()
    assert (document(outcome)["outcome"], document(outcome)["version"]) == ("accepted", 5)
