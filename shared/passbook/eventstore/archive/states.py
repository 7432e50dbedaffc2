"""Snapshots for what is about to leave: every account keeps a state that was compared with a replay."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final
from uuid import UUID

from passbook.domain.account import BankAccount
from passbook.domain.slots import SLOT_COUNT
from passbook.eventstore.archive.records import LAST_NUMBER
from passbook.eventstore.errors import ArchiveRefused
from passbook.eventstore.snapshots import Snapshot, SnapshotStore
from passbook.eventstore.store import EventStore, RecordedEvent

_AT_A_TIME: Final = 200
_WHOLE_LOG: Final = dict.fromkeys(range(SLOT_COUNT), LAST_NUMBER)


async def have_snapshots(
    store: EventStore,
    snapshots: SnapshotStore,
    versions: Mapping[UUID, int],
    on_progress: Callable[[int, int], None],
) -> int:
    """Make sure that each account has a snapshot at or above its version that is what a replay from
    zero leads to; return how many had to be written.

    Raises:
        ArchiveRefused: one that was written cannot be read again.
        UnknownEventType, UnknownSchemaVersion: this code cannot read the events; upgrade.
    """
    written = 0
    accounts = sorted(versions)
    for start in range(0, len(accounts), _AT_A_TIME):
        some = accounts[start : start + _AT_A_TIME]
        newest = await snapshots.load(some)
        events = await store.read_streams(some, _WHOLE_LOG)
        missing = []
        for account_id, history in groupby(events, attrgetter("stream_id")):
            made = _missing(account_id, list(history), newest.get(account_id), versions[account_id])
            missing += [made] if made else []
        await snapshots.save(missing)
        await _require(snapshots, missing)
        written += len(missing)
        on_progress(min(start + _AT_A_TIME, len(accounts)), len(accounts))
    return written


def _missing(
    account_id: UUID, history: Sequence[RecordedEvent], newest: Snapshot | None, version: int
) -> Snapshot | None:
    """Return the snapshot to write, unless there is one that is right and new enough."""
    account = BankAccount(account_id)
    is_right = False
    for event in history:
        account.apply(event.decode())
        if newest and newest.version == account.version >= version:
            is_right = newest.state_hash == Snapshot.of(account).state_hash
    return None if is_right else Snapshot.of(account)


async def _require(snapshots: SnapshotStore, written: Sequence[Snapshot]) -> None:
    stored = await snapshots.load([one.stream_id for one in written])
    for one in written:
        found = stored.get(one.stream_id)
        if found is None or found.version < one.version:
            message = f"no snapshot of account {one.stream_id} at version {one.version} was stored"
            raise ArchiveRefused(message)
