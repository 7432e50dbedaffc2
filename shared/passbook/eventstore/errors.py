"""What can go wrong at the event store.

Exception
├── EventStoreError              a failure of this package; what it says did not happen, did not
│   ├── ConcurrencyError         somebody else appended to the stream first: reload, decide again
│   ├── SlotMoved                somebody else appended to a slot first: catch up, decide again
│   ├── DuplicateCommand         a command of the batch was decided before: read its outcome
│   ├── StoreUnavailable         no answer. Of an append it is unknown whether it happened:
│   │                            look its command ids up before anything else
│   ├── StoreMismatch            the database is not the one, or not in the state, we can use
│   ├── SnapshotInvalid          another fold made it, or it was changed: replay the account
│   ├── LogIncomplete            events that there must be are in neither table nor archive: stop
│   │   └── ArchiveUnreadable    a file of the archive is missing or was changed: bring it back
│   ├── ArchiveRefused           archiving or restoring must not be done now; nothing was removed
│   │   └── AnotherArchiving     one is under way: wait for its end
│   └── BrokenInvariant          the store refused what must not happen: a bug, so stop
├── KeyError
│   └── AccountNotFound          the repository has no events for this account
└── ValueError
    └── MomentNotPast            the store's clock has not reached it: ask when it has come
"""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

_BRING_BACK: Final = "bring the file back from a copy, and see `passbook archive verify`"


class EventStoreError(Exception):
    """The root of this package's failures."""


class ConcurrencyError(EventStoreError):
    """The stream is not at the version the caller built on. Load it again and decide again."""

    def __init__(self, stream_id: UUID, expected: int, actual: int | None = None) -> None:
        found = "" if actual is None else f", found {actual}"
        super().__init__(f"stream {stream_id}: expected version {expected}{found}")
        self.stream_id = stream_id
        self.expected = expected
        self.actual = actual


class SlotMoved(EventStoreError):
    """A slot's head is not the one the caller built on. `detail` names slots and heads."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class DuplicateCommand(EventStoreError):
    """At least one command id of the batch has an outcome already; nothing was appended."""


class StoreUnavailable(EventStoreError):
    """The store did not answer. Whether an append in flight happened is unknown."""


class StoreMismatch(EventStoreError):
    """The database is of another environment, schema or durability; the message says which."""


class BrokenInvariant(EventStoreError):
    """The store refused something that correct code never sends. Stop; a fresh start reloads."""


class SnapshotInvalid(EventStoreError):
    """A snapshot must not be used. `reason` is "fold_version", "hash", or "unrecorded": the log has
    no event of its version.
    """

    def __init__(self, stream_id: UUID, version: int, reason: str) -> None:
        super().__init__(f"snapshot of {stream_id} at version {version}: {reason}")
        self.stream_id = stream_id
        self.version = version
        self.reason = reason


class LogIncomplete(EventStoreError):
    """Events that there must be cannot be found. `str(error)` names the first one: never answer
    with what is left.
    """


class ArchiveUnreadable(LogIncomplete):
    """A file of the archive is missing, was changed, or cannot be read here, for this reason."""

    def __init__(self, file: str, reason: str, remedy: str = _BRING_BACK) -> None:
        super().__init__(f"{file} {reason}: {remedy}")
        self.file = file
        self.reason = reason


class ArchiveRefused(EventStoreError):
    """Archiving or restoring must not be done now; the message says why. Nothing was removed."""


class AnotherArchiving(ArchiveRefused):
    """Another process is archiving or restoring."""


class AccountNotFound(KeyError):
    """No event of this account is in the store."""

    def __init__(self, account_id: UUID) -> None:
        super().__init__(account_id)
        self.account_id = account_id

    def __str__(self) -> str:
        return f"Account {self.account_id} not found"


class MomentNotPast(ValueError):
    """A moment that the store's clock has not reached has no answer that would stay the same."""

    def __init__(self, moment: datetime, now: datetime) -> None:
        super().__init__(
            f"{moment.isoformat()} is in the future: the event store's clock says "
            f"{now.astimezone(UTC).isoformat()}"
        )
        self.moment = moment
        self.now = now
