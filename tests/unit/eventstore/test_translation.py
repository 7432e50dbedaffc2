"""What the driver raises, in the words of this package."""

import asyncpg
import pytest

from passbook.eventstore.errors import (
    BrokenInvariant,
    EventStoreError,
    StoreMismatch,
    StoreUnavailable,
)
from passbook.eventstore.pool import FAILURES
from passbook.eventstore.translation import translate


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (OSError("reset"), StoreUnavailable),
        (TimeoutError(), StoreUnavailable),
        (asyncpg.InterfaceError("closed"), StoreUnavailable),
        # Seen when a query met the end of its connection: 13 of 150 times.
        (asyncpg.InternalClientError("cannot switch to state 12"), StoreUnavailable),
        (asyncpg.AdminShutdownError("bye"), StoreUnavailable),
        (asyncpg.SerializationError("again"), StoreUnavailable),
        (asyncpg.DiskFullError("full"), StoreUnavailable),
        (asyncpg.LockNotAvailableError("later"), StoreUnavailable),
        (asyncpg.ReadOnlySQLTransactionError("a standby"), StoreUnavailable),
        (asyncpg.InvalidPasswordError("who"), StoreUnavailable),
        (asyncpg.InvalidCatalogNameError("where"), StoreUnavailable),
        (asyncpg.UndefinedTableError("none"), StoreMismatch),
        (asyncpg.InsufficientPrivilegeError("no"), StoreMismatch),
        (asyncpg.NotNullViolationError("null"), BrokenInvariant),
        (asyncpg.UntranslatableCharacterError("nul"), BrokenInvariant),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_failure_of_the_driver_is_told_by_what_to_do_about_it(
    error: Exception, failure: type[EventStoreError]
) -> None:
    assert isinstance(error, FAILURES)
    with pytest.raises(failure) as found:
        translate(error)
    assert found.value.__cause__ is error
    assert str(found.value)
