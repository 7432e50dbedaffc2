"""Passbook: a bank-account ledger as events.

What other people's code imports is here: the aggregate and its events, the event store, snapshots
and the repositories. What is about the store is loaded when it is first asked for, so that
`import passbook` costs the standard library only, and its client nothing of the servers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from passbook.domain.account import AccountStatus, BankAccount
from passbook.domain.errors import (
    AccountAlreadyExists,
    AccountDoesNotExist,
    AccountError,
    AccountIsClosed,
    AccountNotActive,
    AmountNotPositive,
    BalanceLimitExceeded,
    InsufficientFunds,
    MalformedValue,
    MinimumDeposit,
    UnknownEventType,
    UnknownSchemaVersion,
    VersionMismatch,
)
from passbook.domain.events import (
    AccountClosed,
    AccountEvent,
    AccountFrozen,
    AccountOpened,
    Event,
    MoneyDeposited,
    MoneyWithdrawn,
)
from passbook.domain.upcasting import EventUpcaster

if TYPE_CHECKING:
    from passbook.eventstore.errors import AccountNotFound, ConcurrencyError
    from passbook.eventstore.memory import InMemoryEventStore
    from passbook.eventstore.postgres import PostgresEventStore
    from passbook.eventstore.repository import AccountRepository, SnapshottingAccountRepository
    from passbook.eventstore.snapshots import InMemorySnapshotStore, Snapshot, SnapshotStore
    from passbook.eventstore.snapshots_postgres import PostgresSnapshotStore
    from passbook.eventstore.store import EventStore

__all__ = [
    "AccountAlreadyExists",
    "AccountClosed",
    "AccountDoesNotExist",
    "AccountError",
    "AccountEvent",
    "AccountFrozen",
    "AccountIsClosed",
    "AccountNotActive",
    "AccountNotFound",
    "AccountOpened",
    "AccountRepository",
    "AccountStatus",
    "AmountNotPositive",
    "BalanceLimitExceeded",
    "BankAccount",
    "ConcurrencyError",
    "Event",
    "EventStore",
    "EventUpcaster",
    "InMemoryEventStore",
    "InMemorySnapshotStore",
    "InsufficientFunds",
    "MalformedValue",
    "MinimumDeposit",
    "MoneyDeposited",
    "MoneyWithdrawn",
    "PostgresEventStore",
    "PostgresSnapshotStore",
    "Snapshot",
    "SnapshotStore",
    "SnapshottingAccountRepository",
    "UnknownEventType",
    "UnknownSchemaVersion",
    "VersionMismatch",
]

_LATER: Final = {
    "AccountNotFound": "passbook.eventstore.errors",
    "AccountRepository": "passbook.eventstore.repository",
    "ConcurrencyError": "passbook.eventstore.errors",
    "EventStore": "passbook.eventstore.store",
    "InMemoryEventStore": "passbook.eventstore.memory",
    "InMemorySnapshotStore": "passbook.eventstore.snapshots",
    "PostgresEventStore": "passbook.eventstore.postgres",
    "PostgresSnapshotStore": "passbook.eventstore.snapshots_postgres",
    "Snapshot": "passbook.eventstore.snapshots",
    "SnapshotStore": "passbook.eventstore.snapshots",
    "SnapshottingAccountRepository": "passbook.eventstore.repository",
}


def __getattr__(name: str) -> Any:
    """Load what stands in `_LATER` when it is first asked for."""
    home = _LATER.get(name)
    if home is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return globals().setdefault(name, getattr(import_module(home), name))
