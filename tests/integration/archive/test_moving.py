"""Running, verifying, restoring: what leaves is safe before it leaves, and comes back as it was."""

import asyncio
import json
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from uuid import UUID, uuid4

import asyncpg
import pytest

from passbook.domain.account import BankAccount
from passbook.eventstore.archive import lock
from passbook.eventstore.archive.manifests import Manifest
from passbook.eventstore.archive.planning import Choice
from passbook.eventstore.archive.restore import Restored, restore_archives
from passbook.eventstore.archive.run import Archived, Watch, run_archive
from passbook.eventstore.archive.verification import verify_archive
from passbook.eventstore.errors import AnotherArchiving, ArchiveRefused
from passbook.eventstore.past import recording_times
from passbook.eventstore.repository import AccountRepository
from passbook.eventstore.snapshots import Snapshot
from passbook.eventstore.snapshots_postgres import PostgresSnapshotStore
from tests.integration.archive.conftest import CLOSED, EVERYTHING, SLOT, Books
from tests.support.accounts import account_ids, busy


class Killed(BaseException):
    """Stands for kill -9: nothing of the run goes on."""


async def _verified(books: Books) -> None:
    async with books.pool.acquire() as connection:
        found = await verify_archive(connection, books.archive)
    assert found.ok, found.wrong


async def test_the_manifest_says_what_is_on_record(books: Books, account_id: UUID) -> None:
    first = await books.run(CLOSED)
    second = await books.run()

    files = books.files()
    assert account_id
    assert [one.name for one in files if one.suffix == ".json"] == [
        "manifest-000001.json",
        "manifest-000002.json",
    ]
    one, two = (json.loads(file.read_text()) for file in files if file.suffix == ".json")
    assert one["previous_sha256"] is None
    assert two["previous_sha256"] == sha256(files[0].read_bytes()).hexdigest()
    for archived, manifest in ((first, one), (second, two)):
        assert archived.manifest == manifest["manifest"]
        assert archived.events == sum(part["events"] for part in manifest["segments"])
        for part in manifest["segments"]:
            content = (books.archive.directory / part["file"]).read_bytes()
            assert part["sha256"] == sha256(content).hexdigest()
            assert part["bytes"] == len(content)
    await _verified(books)


async def test_there_may_be_nothing_to_do(books: Books, account_id: UUID) -> None:
    assert account_id
    await books.run()
    assert await books.run() == Archived(0, 0, 0, 0, None)
    assert await books.run(CLOSED) == Archived(0, 0, 0, 0, None)


async def test_only_what_is_older_leaves(books: Books, account_id: UUID) -> None:
    history = await books.store.history(account_id)
    moment = history[-1].recorded_at
    await books.current()
    ids = account_ids(SLOT)
    await books.save(busy(next(ids)))

    await books.run(Choice(moment + timedelta(microseconds=1)))

    (low,) = await books.pool.fetchrow(
        "SELECT min(recorded_at) FROM eventstore.events WHERE slot = $1", SLOT
    )
    assert low > moment


@pytest.mark.parametrize(
    ("behind", "named"),
    [
        ("UPDATE eventstore.relay_positions SET published_seq = 1", "outbox-relay is at 1"),
        ("DELETE FROM eventstore.relay_positions", "outbox-relay is at 0"),
        (
            "UPDATE projections.positions SET slot_seq = 2 WHERE projection = 'audit'",
            "audit is at 2",
        ),
    ],
)
async def test_whoever_is_behind_is_named(
    books: Books, account_id: UUID, behind: str, named: str
) -> None:
    """Seen to fail: without `check_covered`."""
    rows = await books.in_table()
    await books.current()
    await books.pool.execute(behind)

    with pytest.raises(ArchiveRefused, match=named) as refusal:
        await run_archive(books.pool, books.pool, books.archive, EVERYTHING)

    assert "balance" not in str(refusal.value)
    assert account_id
    assert await books.in_table() == rows


async def test_every_account_has_a_snapshot_that_is_right(books: Books, account_id: UUID) -> None:
    """A snapshot that nobody could tell from a right one is replaced. Seen to fail: with any
    snapshot that `load` returns taken for right.
    """
    snapshots = PostgresSnapshotStore(books.pool)
    wrong = BankAccount.replay(account_id, await books.store.load(account_id))
    wrong.balance *= 2
    await snapshots.save([Snapshot.of(wrong)])

    await books.run()

    for stream_id in await books.store.streams(None, 10):
        found = (await snapshots.load([stream_id]))[stream_id]
        events = await books.store.load(stream_id)
        account = BankAccount.replay(stream_id, events)
        assert found == Snapshot.of(account)._replace(state=found.state)


async def test_two_runs_are_kept_apart(
    books: Books, account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail: without the lock."""
    monkeypatch.setattr(lock, "_PATIENCE", "50ms")
    await books.current()
    held, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with lock.alone(books.pool):
            held.set()
            await go_on.wait()

    holding = asyncio.create_task(hold())
    await held.wait()
    with pytest.raises(AnotherArchiving):
        await run_archive(books.pool, books.pool, books.archive, EVERYTHING)
    with pytest.raises(AnotherArchiving):
        await restore_archives(books.pool, books.archive)
    go_on.set()
    await holding
    assert account_id
    assert (await books.run()).events > 0


@pytest.mark.parametrize(
    "step",
    [
        "are to be archived",
        "-05.parquet is written",
        "-09.parquet is verified",
        "manifest 1 is",
        "verified snapshot",
        "on record",
    ],
)
async def test_a_run_that_is_killed_is_run_again(books: Books, account_id: UUID, step: str) -> None:
    """Seen to fail: with leftovers left where they are, and with the manifest written last."""
    before, rows = await books.log(), await books.in_table()

    def kill(done: str) -> None:
        if step in done:
            raise Killed

    with pytest.raises(Killed):
        await books.run(watch=Watch(kill))
    assert await books.log() == before
    assert (await books.in_table() < rows) == (step == "on record")
    if step == "on record":
        await books.save(busy(next(account_ids(SLOT))))
        before = await books.log()
    else:
        (books.archive.directory / "manifest-000001.json.unfinished").write_text("half of it")
        (books.archive.directory / "segment-000001-40.parquet").write_text("of another slot")
    assert account_id

    assert (await books.run()).events > 0

    assert await books.log() == before
    await _verified(books)
    names = {file.name for file in books.files()}
    assert step == "on record" or names == {
        "manifest-000001.json",
        "segment-000001-05.parquet",
        "segment-000001-09.parquet",
    }


async def test_the_archive_of_another_event_store_is_left_alone(
    books: Books, account_id: UUID
) -> None:
    """Seen to fail: with its files taken for leftovers."""
    await books.current()
    books.archive.directory.mkdir()
    manifest = Manifest(uuid4(), {"closed": "true"}, None, ()).write(books.archive.directory)

    with pytest.raises(ArchiveRefused, match="PASSBOOK_ARCHIVE_DIR"):
        await run_archive(books.pool, books.pool, books.archive, EVERYTHING)

    assert account_id
    assert [file.name for file in books.files()] == [manifest.file]


async def test_readers_notice_nothing_of_what_moves_meanwhile(
    books: Books, account_id: UUID
) -> None:
    """Seen to fail: with one attempt instead of three (`_ATTEMPTS`)."""
    before, history = await books.log(), await books.store.history(account_id)
    done = asyncio.Event()

    async def read() -> int:
        reads = 0
        while not done.is_set():
            assert await books.log() == before
            assert await books.store.history(account_id) == history
            reads += 1
        return reads

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(read()) for _ in range(2)]
        for _ in range(4):
            await books.run(CLOSED)
            await books.run()
            await restore_archives(books.pool, books.archive)
        done.set()
    assert min(reader.result() for reader in readers) > 1


async def test_a_restore_behind_the_first_look_hides_no_account(
    books: Books, account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail: with a query that does not tell how far a stream is archived. What had been
    archived when the table was read was in the table when the record was.
    """
    history = await books.store.history(account_id)
    await books.run()
    in_table = "SELECT count(*) FROM eventstore.events WHERE stream_id = $1"
    assert await books.pool.fetchval(in_table, account_id) == 0
    fetch, looks = books.store._fetch, list[int]()

    async def look(query: str, *arguments: object) -> list[asyncpg.Record]:
        rows = await fetch(query, *arguments)
        looks.append(len(rows))
        if len(looks) == 1:
            await restore_archives(books.pool, books.archive)
        return rows

    monkeypatch.setattr(books.store._through, "_fetch", look)

    assert await books.store.history(account_id) == history
    assert len(looks) > 1


async def test_restoring_leaves_nothing_of_the_archive(books: Books, account_id: UUID) -> None:
    """Seen to fail: with `unarchive` leaving `archived_streams` as it was."""
    columns = (
        "slot, slot_seq, stream_id, version, event_id, event_type, schema_version, data::text, "
    )
    columns += "metadata::text, occurred_at, recorded_at"
    query = f"SELECT {columns} FROM eventstore.events ORDER BY slot, slot_seq"
    moment = (await books.store.history(account_id))[-1].recorded_at
    await books.run(Choice(moment + timedelta(microseconds=1)))
    account = await AccountRepository(books.store).get(account_id)
    account.deposit(Decimal("1.00"))
    account.deposit(Decimal("2.00"))
    await books.save(account, busy(next(account_ids(SLOT))))
    before, first = await books.log(), await books.pool.fetch(query)
    await books.run(CLOSED)
    await books.run()
    assert len(await books.pool.fetch(query)) == 2

    assert (await restore_archives(books.pool, books.archive, 2)).manifests == (3, 2)
    await _verified(books)
    assert (await books.log(), await books.pool.fetch(query)) == (before, first)
    assert await recording_times(books.pool, {account_id: 6}) == {account_id: moment}
    assert (await restore_archives(books.pool, books.archive)).manifests == (1,)

    assert await books.log(books.plain) == before
    for table in ("archives", "archive_segments", "archived_streams"):
        assert await books.pool.fetchval(f"SELECT count(*) FROM eventstore.{table}") == 0
    assert books.files() == []
    assert await restore_archives(books.pool, books.archive) == Restored(0, ())
    assert (await books.run()).manifest == 1
    await _verified(books)
