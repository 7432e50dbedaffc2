"""What a driver's error means: the one place that knows SQLSTATEs and constraint names."""

from typing import Final, NoReturn
from uuid import UUID

import asyncpg

from passbook.eventstore.errors import (
    BrokenInvariant,
    ConcurrencyError,
    DuplicateCommand,
    SlotMoved,
    StoreMismatch,
    StoreUnavailable,
)
from passbook.eventstore.pool import said

# SQLSTATE classes that say "not now": connection, login, database, rollback, resources,
# intervention, system. A login or a database that is gone is what a connection that is opened anew
# meets, as at the start.
_PASSING: Final = frozenset({"08", "28", "3D", "40", "53", "55", "57", "58"})
# A standby, until it is promoted.
_READ_ONLY: Final = "25006"


def translate(error: Exception) -> NoReturn:
    """Raise the failure of this package that a driver's error stands for, by SQLSTATE."""
    match error:
        case asyncpg.PostgresError(sqlstate="PB001"):
            raise SlotMoved(error.detail) from error
        case asyncpg.PostgresError(sqlstate="PB002"):
            stream_id, expected, actual = error.detail.split("; ")[0].split()
            raise ConcurrencyError(UUID(stream_id), int(expected), int(actual)) from error
        case asyncpg.UniqueViolationError(constraint_name="commands_pkey"):
            raise DuplicateCommand from error
        case asyncpg.PostgresError(sqlstate="PB006"):
            raise StoreMismatch(said(error)) from error
        case asyncpg.PostgresError(sqlstate=state) if state[:2] == "42":
            message = (
                f"{said(error)} (SQLSTATE {state}): migrate the database, or use the right login"
            )
            raise StoreMismatch(message) from error
        case asyncpg.PostgresError(sqlstate=state) if not _passes(state):
            message = f"{said(error)} (SQLSTATE {state})"
            raise BrokenInvariant(message) from error
    raise StoreUnavailable(said(error)) from error


def _passes(state: str) -> bool:
    return state == _READ_ONLY or state[:2] in _PASSING
