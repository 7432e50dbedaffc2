"""Are the snapshots right? Every one is compared with a replay of its account from zero."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg

from passbook.domain.account import FOLD_VERSION, BankAccount
from passbook.eventstore.errors import StoreUnavailable
from passbook.eventstore.pool import FAILURES, lent, said
from passbook.eventstore.snapshots import Snapshot
from passbook.eventstore.store import EventStore

_PAGE_SIZE: Final = 1_000
_TIMEOUT_S: Final = 60.0

_COUNTS: Final = """
SELECT count(*) FILTER (WHERE fold_version = $1), count(*) FILTER (WHERE fold_version <> $1)
  FROM eventstore.snapshots
"""
_PAGE: Final = """
SELECT stream_id, version, fold_version, state, state_hash FROM eventstore.snapshots
 WHERE fold_version = $1 AND (stream_id, version) > ($2, $3)
 ORDER BY stream_id, version LIMIT $4
"""
_SAMPLE: Final = """
SELECT stream_id, version, fold_version, state, state_hash
  FROM (SELECT * FROM eventstore.snapshots WHERE fold_version = $1
         ORDER BY random() LIMIT $2) s
 ORDER BY stream_id, version
"""

OnProgress = Callable[[int, int], None]


class InvalidSnapshot(NamedTuple):
    """A snapshot that a reader must not use. The `reason` is one of three.

    - "hash": it says something else than what it was stored with,
    - "unrecorded": the log has no event of its version,
    - "state": it is as it was stored, and is not what the events lead to. No reader notices that.
    """

    stream_id: UUID
    version: int
    reason: str

    def to_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "account_id": str(self.stream_id),
            "version": self.version,
            "reason": self.reason,
        }


class Verification(NamedTuple):
    """What was found: how many snapshots of the running fold there are, how many of another (they
    are not used, and not looked at), how many were compared, and which are wrong.
    """

    snapshots: int
    other_folds: int
    checked: int
    invalid: tuple[InvalidSnapshot, ...]

    @property
    def ok(self) -> bool:
        """Whether all that were compared are right."""
        return not self.invalid


async def verify_snapshots(
    pool: asyncpg.Pool,
    store: EventStore,
    sample: int | None = None,
    on_progress: OnProgress = lambda _done, _total: None,
) -> Verification:
    """Replay accounts from zero and compare all snapshots with them, or `sample` of them by chance.

    Raises:
        StoreUnavailable: the database does not answer.
        UnknownEventType, UnknownSchemaVersion: this code cannot read the events; upgrade.
    """
    count, others = (int(number) for number in (await _rows(pool, _COUNTS, FOLD_VERSION))[0])
    total = count if sample is None else min(sample, count)
    checked, invalid = 0, list[InvalidSnapshot]()
    last = (UUID(int=0), 0)
    while True:
        if sample is None:
            rows = await _rows(pool, _PAGE, FOLD_VERSION, *last, _PAGE_SIZE)
        else:
            rows = await _rows(pool, _SAMPLE, FOLD_VERSION, sample)
        found = [Snapshot._make(row) for row in rows]
        for _, some in groupby(found, key=lambda snapshot: snapshot.stream_id):
            snapshots = list(some)
            invalid += await wrong_snapshots(store, snapshots)
            checked += len(snapshots)
            on_progress(checked, max(total, checked))
        if sample is not None or len(found) < _PAGE_SIZE:
            return Verification(count, others, checked, tuple(invalid))
        last = found[-1].stream_id, found[-1].version


async def wrong_snapshots(
    store: EventStore, snapshots: Sequence[Snapshot]
) -> list[InvalidSnapshot]:
    """Return those of one account's snapshots, by version, that a replay from zero does not lead
    to.

    Raises:
        UnknownEventType, UnknownSchemaVersion: this code cannot read the events; upgrade.
    """
    events = await store.load(snapshots[0].stream_id)
    account = BankAccount(snapshots[0].stream_id)
    wrong = []
    for snapshot in snapshots:
        for event in events[account.version : snapshot.version]:
            account.apply(event)
        if account.version != snapshot.version:
            reason = "unrecorded"
        elif snapshot.flaw:
            reason = snapshot.flaw
        elif Snapshot.of(account).state_hash != snapshot.state_hash:
            reason = "state"
        else:
            continue
        wrong.append(InvalidSnapshot(snapshot.stream_id, snapshot.version, reason))
    return wrong


async def _rows(pool: asyncpg.Pool, query: str, *arguments: object) -> Sequence[Sequence[Any]]:
    try:
        async with lent(pool, _TIMEOUT_S) as connection:
            rows: Sequence[Sequence[Any]] = await connection.fetch(query, *arguments)
            return rows
    except FAILURES as error:
        raise StoreUnavailable(said(error)) from error
