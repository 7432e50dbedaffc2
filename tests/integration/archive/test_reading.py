"""Whatever is archived reads as if it were in the table, or is an error that names what is wrong."""

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import pytest

from passbook.domain.slots import SLOT_COUNT
from passbook.eventstore.archive.planning import Choice
from passbook.eventstore.errors import ArchiveUnreadable, ConcurrencyError, LogIncomplete
from passbook.eventstore.past import PastState, account_at_version, accounts_at, recording_times
from passbook.eventstore.repository import AccountRepository, SnapshottingAccountRepository
from passbook.eventstore.snapshots_postgres import PostgresSnapshotStore
from services.audit_projector.verify import verify
from tests.integration.archive.conftest import (
    CLOSED,
    EVERYTHING,
    OTHER_SLOT,
    SLOT,
    Books,
)
from tests.support.accounts import busy
from tests.support.databases import Connect

_RUNS: Final = {"before": [EVERYTHING], "closed": [CLOSED], "both": [CLOSED, EVERYTHING]}


@pytest.mark.parametrize("runs", _RUNS.values(), ids=_RUNS.keys())
async def test_every_read_is_as_it_was(
    books: Books, account_id: UUID, runs: Sequence[Choice]
) -> None:
    """Seen to fail: with `ReadThrough.log` and `.streams` returning what the table has."""
    everything = dict.fromkeys(range(SLOT_COUNT), 1000)

    async def all_reads() -> list[object]:
        streams = await books.store.streams(None, 100)
        moment = (await books.store.history(streams[0]))[-1].recorded_at
        return [
            await books.log(),
            streams,
            await books.store.streams(streams[1], 2),
            [await books.store.history(one) for one in streams],
            [await books.store.load(one, 2) for one in streams],
            [await books.store.load(one, 100) for one in streams],
            sorted(await books.store.read_log({SLOT: 1, OTHER_SLOT: 0, 40: 0}, 4)),
            await books.store.read_streams(streams, everything),
            await books.store.read_streams(streams, {SLOT: 5, OTHER_SLOT: 2}),
            await books.store.read_streams(streams, everything, {account_id: 4}),
            [_told(one) for one in await accounts_at(books.store, moment, 100)],
            _told(await account_at_version(books.store, account_id, 3)),
        ]

    before = await all_reads()
    rows = await books.in_table()
    moved = [await books.run(choice) for choice in runs]

    assert all(one.events > 0 for one in moved)
    assert await books.in_table() == rows - sum(one.events for one in moved)
    assert await all_reads() == before


def _told(state: PastState | None) -> tuple[object, ...]:
    assert state is not None
    account = state.account
    return account.id, account.version, account.balance, account.status, state.recorded_at


async def test_the_newest_event_of_a_slot_stays(books: Books, account_id: UUID) -> None:
    await books.run()
    rows = await books.pool.fetch("SELECT slot, slot_seq FROM eventstore.events ORDER BY slot")
    heads = await books.store.heads()
    assert account_id
    assert [tuple(row) for row in rows] == [(slot, heads[slot]) for slot in (SLOT, OTHER_SLOT)]


async def test_a_history_goes_on_where_it_was(books: Books, account_id: UUID) -> None:
    """Seen to fail: with the `append` of the first migration, which finds the stream empty."""
    await books.run()
    repository = AccountRepository(books.store)
    account, late = await repository.get(account_id), await repository.get(account_id)
    account.deposit(Decimal("7.00"), "after the archive")
    await repository.save(account)
    late.deposit(Decimal("9.00"), "too late")

    with pytest.raises(ConcurrencyError) as moved:
        await repository.save(late)

    assert (moved.value.expected, moved.value.actual) == (6, 7)
    assert (await repository.get(account_id)).balance == Decimal("112.00")
    with pytest.raises(ConcurrencyError):
        await books.save(busy(account_id))


async def test_an_archived_version_is_taken_for_whoever_compares_heads(
    books: Books, account_id: UUID
) -> None:
    """Seen to fail: without the lookup in `archived_streams` before the events are inserted."""
    from passbook.eventstore.errors import BrokenInvariant
    from tests.support.accounts import rows

    await books.run()
    heads = await books.store.heads()
    again = rows(busy(account_id, movements=1))
    with pytest.raises(BrokenInvariant, match="archived"):
        await books.store.append_batch({SLOT: heads[SLOT]}, again, ())
    assert await books.store.heads() == heads


async def test_a_new_account_reads_no_file(books: Books, account_id: UUID) -> None:
    await books.run()
    for file in books.files("*.parquet"):
        file.unlink()
    repository = AccountRepository(books.store)
    assert account_id
    fresh = busy()
    await repository.save(fresh)
    assert (await repository.get(fresh.id)).version == 4
    assert await books.store.load(uuid4()) == []


async def test_a_snapshot_spares_the_files(books: Books, account_id: UUID) -> None:
    """Seen to fail: with the `recorded` of the second migration, for which an archived event is not
    in the log.
    """
    await books.run()
    for file in books.files("*.parquet"):
        file.unlink()
    repository = SnapshottingAccountRepository(books.store, PostgresSnapshotStore(books.pool))
    account = await repository.get(account_id)
    assert (account.version, account.balance) == (6, Decimal("105.00"))


def _changed(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "reason"), [(Path.unlink, "is not in"), (_changed, "was changed")]
)
@pytest.mark.parametrize("was_open", [True, False])
async def test_a_missing_or_altered_segment_is_named(
    books: Books,
    account_id: UUID,
    harm: Callable[[Path], None],
    reason: str,
    was_open: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Seen to fail: without the comparison of the SHA-256 (altered)."""
    await books.run()
    if was_open:
        await books.log()
    else:
        books.archive.forget()
    file = next(one for one in books.files("*.parquet") if f"-{SLOT:02}." in one.name)
    harm(file)
    reads: list[Callable[[], Awaitable[object]]] = [
        lambda: books.store.load(account_id),
        lambda: books.store.history(account_id),
        lambda: books.store.read_slot(SLOT, 0, 3),
        lambda: books.store.read_log({SLOT: 2}, 2),
        lambda: books.store.read_streams([account_id], {SLOT: 100}),
    ]
    for read in reads:
        with pytest.raises(ArchiveUnreadable) as failure:
            await read()
        assert failure.value.file == file.name
        assert reason in str(failure.value)
        assert "passbook archive verify" in str(failure.value)


async def test_without_an_archive_what_is_archived_is_an_error(
    books: Books, account_id: UUID
) -> None:
    await books.run()
    for read in (books.plain.load(account_id), books.plain.read_slot(SLOT, 0, 3)):
        with pytest.raises(ArchiveUnreadable, match="PASSBOOK_ARCHIVE_DIR"):
            await read


async def test_a_hole_that_nobody_knows_of_is_an_error(books: Books, account_id: UUID) -> None:
    async with books.pool.acquire() as owner, owner.transaction():
        await owner.execute("SET LOCAL session_replication_role = replica")
        await owner.execute("DELETE FROM eventstore.events WHERE slot = $1 AND slot_seq = 3", SLOT)
    with pytest.raises(LogIncomplete, match="slot 5: no number 3"):
        await books.store.read_slot(SLOT, 0, 100)
    with pytest.raises(LogIncomplete, match="no version 3"):
        await books.store.load(account_id)


async def test_whoever_reads_the_newest_asks_nothing_more(
    books: Books, account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contiguous rows cost no second query, whatever is archived."""
    await books.run()
    head = (await books.store.heads())[SLOT]
    queries = []
    fetch = books.store._fetch

    async def counting(query: str, *arguments: object) -> object:
        queries.append(query)
        return await fetch(query, *arguments)

    monkeypatch.setattr(books.store._through, "_fetch", counting)
    assert len(await books.store.read_slot(SLOT, head - 1, 10)) == 1
    assert await books.store.read_slot(SLOT, head, 10) == []
    assert await books.store.read_log({SLOT: head, OTHER_SLOT: 1000}, 10) == []
    assert len(queries) == 3
    assert account_id


async def test_audit_verification_reads_the_archive(
    books: Books, account_id: UUID, connect: Connect
) -> None:
    """Seen to fail: with the events of the table only."""
    await books.run(CLOSED)
    await books.run()
    entries, events = await connect("passbook_reader"), await connect("passbook_reader")
    found = await verify(entries, events, lambda *_: None, (), books.archive)
    assert (found.ok, found.entries) == (True, 22), found.differences
    assert account_id
    books.files("*.parquet")[0].unlink()
    with pytest.raises(ArchiveUnreadable):
        await verify(entries, events, lambda *_: None, (), books.archive)


async def test_when_the_archived_version_was_recorded_is_known(
    books: Books, account_id: UUID
) -> None:
    times = {one.version: one.recorded_at for one in await books.store.history(account_id)}
    await books.run()
    assert await recording_times(books.pool, {account_id: 6}) == {account_id: times[6]}
