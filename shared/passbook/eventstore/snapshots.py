"""Snapshots: the folded state of an account at a version, so that its history need not be replayed.

A snapshot is derived and never trusted. It is used only if this code folds the way that made it
(`FOLD_VERSION`), its hash is right, and the event of its version is really in the log; whatever
else is found is counted, logged, and the account is replayed from zero.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final, NamedTuple, Protocol, Self
from uuid import UUID

import orjson
import structlog

from passbook.domain.account import FOLD_VERSION, AccountStatus, BankAccount
from passbook.eventstore.errors import EventStoreError, SnapshotInvalid
from passbook.eventstore.memory import InMemoryEventStore
from passbook.telemetry import SNAPSHOTS_FAILED, SNAPSHOTS_IGNORED, SNAPSHOTS_SAVED

INTERVAL: Final = 100
"""Versions between two snapshots of an account: at most so many events, and those of one more
batch, are folded on top of one."""

log = structlog.get_logger()


class Snapshot(NamedTuple):
    """An account as it was at `version`. `state` is a JSON object as text; `state_hash` is SHA-256
    over whose state it is, of which version and fold, and what it says, however it is spelled.
    """

    stream_id: UUID
    version: int
    fold_version: int
    state: str
    state_hash: bytes

    @classmethod
    def of(cls, account: BankAccount) -> Self:
        """Return the account's state now. Its pending events count: store them first."""
        state = {
            "owner_name": account.owner_name,
            "balance": str(account.balance),
            "status": account.status.value,
        }
        key = (account.id, account.version, FOLD_VERSION)
        return cls(*key, orjson.dumps(state).decode(), _hash(*key, state))

    def restore(self) -> BankAccount:
        """Return the account, nothing pending, as a replay up to `version` would.

        Raises:
            SnapshotInvalid: another fold made it, or something was changed: replay instead.
        """
        if self.fold_version != FOLD_VERSION:
            raise SnapshotInvalid(self.stream_id, self.version, "fold_version")
        try:
            state = orjson.loads(self.state)
        except orjson.JSONDecodeError as error:
            raise SnapshotInvalid(self.stream_id, self.version, "hash") from error
        if self.state_hash != _hash(self.stream_id, self.version, self.fold_version, state):
            raise SnapshotInvalid(self.stream_id, self.version, "hash")
        account = BankAccount(self.stream_id)
        account.owner_name = state["owner_name"]
        account.balance = Decimal(state["balance"])
        account.status = AccountStatus(state["status"])
        account.version = self.version
        return account

    @property
    def flaw(self) -> str:
        """The reason for which `restore` refuses; "" when it does not."""
        try:
            self.restore()
        except SnapshotInvalid as error:
            return error.reason
        return ""


class SnapshotStore(Protocol):
    """Where snapshots are kept. `PostgresSnapshotStore` and `InMemorySnapshotStore` are two."""

    async def load(
        self,
        stream_ids: Sequence[UUID],
        up_to_versions: Mapping[UUID, int] | None = None,
        *,
        heads: Mapping[int, int] | None = None,
    ) -> dict[UUID, Snapshot]:
        """Return the newest snapshot of each stream that has one which may be used.

        `up_to_versions` (stream → version) leaves out newer ones, `heads` (slot → number) those
        whose event has a higher number in its slot.

        Raises:
            StoreUnavailable: no answer, or not soon: replay.
        """
        ...

    async def save(self, snapshots: Sequence[Snapshot]) -> None:
        """Store snapshots over older ones of the same version; one whose event is not in the log
        is left out.

        Raises:
            StoreUnavailable: perhaps stored, perhaps not; it does not matter.
        """
        ...


class InMemorySnapshotStore:
    """`SnapshotStore` that lives as long as the object. With the `log` it looks the events of
    snapshots up there, as PostgreSQL does; without one it believes that they are stored.
    """

    def __init__(self, log: InMemoryEventStore | None = None) -> None:
        """Start empty."""
        self._log = log
        self._snapshots: dict[tuple[UUID, int], Snapshot] = {}

    async def load(
        self,
        stream_ids: Sequence[UUID],
        up_to_versions: Mapping[UUID, int] | None = None,
        *,
        heads: Mapping[int, int] | None = None,
    ) -> dict[UUID, Snapshot]:
        """See `SnapshotStore.load`."""
        limits = up_to_versions or {}
        newest = {}
        for (stream_id, version), snapshot in sorted(self._snapshots.items()):
            fits = snapshot.fold_version == FOLD_VERSION
            wanted = stream_id in stream_ids and version <= limits.get(stream_id, version)
            if fits and wanted and not self._is_above(snapshot, heads):
                newest[stream_id] = snapshot
        return usable((one, self._is_recorded(one)) for one in newest.values())

    async def save(self, snapshots: Sequence[Snapshot]) -> None:
        """See `SnapshotStore.save`."""
        self._snapshots |= {
            (one.stream_id, one.version): one for one in snapshots if self._is_recorded(one)
        }

    def _is_recorded(self, snapshot: Snapshot) -> bool:
        return (
            self._log is None or self._log.place(snapshot.stream_id, snapshot.version) is not None
        )

    def _is_above(self, snapshot: Snapshot, heads: Mapping[int, int] | None) -> bool:
        if self._log is None or heads is None:
            return False
        place = self._log.place(snapshot.stream_id, snapshot.version)
        return place is not None and place[1] > heads.get(place[0], 0)


def usable(found: Iterable[tuple[Snapshot, bool]]) -> dict[UUID, Snapshot]:
    """Return those of the snapshots found, each with whether its event is in the log, that may be
    used, by stream; count and log the others.
    """
    good = {}
    for snapshot, is_recorded in found:
        reason = snapshot.flaw or ("" if is_recorded else "unrecorded")
        if not reason:
            good[snapshot.stream_id] = snapshot
            continue
        SNAPSHOTS_IGNORED.labels(reason).inc()
        log.error(
            "snapshot.ignored",
            account_id=str(snapshot.stream_id),
            version=snapshot.version,
            reason=reason,
        )
    return good


async def load_if_possible(
    store: SnapshotStore, stream_ids: Sequence[UUID], heads: Mapping[int, int] | None = None
) -> dict[UUID, Snapshot] | None:
    """Load snapshots; None when the store fails, which is logged and counted: replay."""
    try:
        return await store.load(stream_ids, heads=heads)
    except EventStoreError as error:
        _failed(error, len(stream_ids))
        return None


async def save_if_possible(store: SnapshotStore, snapshots: Sequence[Snapshot]) -> None:
    """Save snapshots; a failure is logged and counted, and never anybody's problem."""
    try:
        await store.save(snapshots)
    except EventStoreError as error:
        _failed(error, len(snapshots))
    else:
        SNAPSHOTS_SAVED.inc(len(snapshots))


def is_due(before: int, after: int, interval: int = INTERVAL) -> bool:
    """Tell whether an account that went from one version to another crossed a multiple of
    `interval`, also when it jumped over it.
    """
    return after // interval > before // interval


def _failed(error: EventStoreError, snapshots: int) -> None:
    SNAPSHOTS_FAILED.inc()
    log.warning("snapshot.failed", error=str(error), snapshots=snapshots)


def _hash(stream_id: UUID, version: int, fold_version: int, state: Any) -> bytes:
    # Sorted keys and no blanks: PostgreSQL keeps what jsonb says, not how it was written.
    said = orjson.dumps(state, option=orjson.OPT_SORT_KEYS)
    return sha256(f"{stream_id} {version} {fold_version} ".encode() + said).digest()
