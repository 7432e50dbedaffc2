"""One catalogue of everything that can be answered instead of what was asked for: its code, which is
stable, and what it means over HTTP and for a program's exit.

A code that is a rule of the bank comes in an outcome too; see `passbook.domain.errors`.
"""

from enum import IntEnum
from typing import Final, NamedTuple

INTERNAL: Final = "internal"


class Exit(IntEnum):
    """How a program ends that met it."""

    FAILED = 1
    USAGE = 2
    REJECTED = 3
    NOT_FOUND = 4
    CONFLICT = 5
    UNAVAILABLE = 69
    """EX_UNAVAILABLE of sysexits(3): a server or service that is needed does not answer."""


class Meaning(NamedTuple):
    """`title` is the same for every occurrence; `status` is of HTTP. With 503 the same request may
    succeed later.
    """

    title: str
    status: int
    exit: Exit


CATALOGUE: Final[dict[str, Meaning]] = {
    # Rules of the bank, which are decided once and for ever.
    "account_not_found": Meaning("There is no such account", 404, Exit.NOT_FOUND),
    "account_already_exists": Meaning("The account exists already", 409, Exit.REJECTED),
    "version_mismatch": Meaning("The account has another version", 409, Exit.CONFLICT),
    "account_not_active": Meaning("The account is not active", 409, Exit.REJECTED),
    "account_closed": Meaning("The account is closed", 409, Exit.REJECTED),
    "amount_not_positive": Meaning("The amount is not positive", 422, Exit.REJECTED),
    "insufficient_funds": Meaning("The balance is too small", 422, Exit.REJECTED),
    "minimum_deposit": Meaning("The first deposit is too small", 422, Exit.REJECTED),
    "balance_limit": Meaning("The balance would be too large", 422, Exit.REJECTED),
    "idempotency_conflict": Meaning("The command id is in use", 409, Exit.CONFLICT),
    # What was asked makes no sense, or is not there.
    "malformed": Meaning("The request cannot be understood", 400, Exit.USAGE),
    "unsupported_command": Meaning("There is no such command", 400, Exit.USAGE),
    "moment_not_past": Meaning("The moment has not come", 400, Exit.USAGE),
    "unauthorized": Meaning("Who asks is not known", 401, Exit.FAILED),
    "forbidden": Meaning("The token does not allow this", 403, Exit.FAILED),
    "not_found": Meaning("There is nothing here", 404, Exit.NOT_FOUND),
    "version_not_found": Meaning("The account has not had this version", 404, Exit.NOT_FOUND),
    "command_not_found": Meaning("The command is not decided", 404, Exit.NOT_FOUND),
    "method_not_allowed": Meaning("This cannot be done here", 405, Exit.USAGE),
    "request_timeout": Meaning("The request came too slowly", 408, Exit.UNAVAILABLE),
    "position_unknown": Meaning("The log has no such position", 409, Exit.CONFLICT),
    "conflict": Meaning("Somebody else was first", 409, Exit.CONFLICT),
    "body_too_large": Meaning("The body is too large", 413, Exit.USAGE),
    "unsupported_media_type": Meaning("The body is not JSON", 415, Exit.USAGE),
    "misdirected": Meaning("The request is meant for somebody else", 421, Exit.USAGE),
    "headers_too_large": Meaning("The headers are too large", 431, Exit.USAGE),
    # Not now.
    "not_ready": Meaning("The service is not ready", 503, Exit.UNAVAILABLE),
    "not_that_far": Meaning("The view has not reached the version", 503, Exit.UNAVAILABLE),
    "overloaded": Meaning("Too much is asked at once", 503, Exit.UNAVAILABLE),
    "unavailable": Meaning("A server does not answer", 503, Exit.UNAVAILABLE),
    # Somebody has to look at it.
    "unreadable": Meaning("The events cannot be read", 503, Exit.FAILED),
    INTERNAL: Meaning("Something went wrong", 500, Exit.FAILED),
}


def code_of(error: Exception) -> str:
    """Return the code of a failure; `internal` for one that has none."""
    if (own := _own_code(error)) is not None:
        return own
    return next((code for kinds, code in _codes() if isinstance(error, kinds)), INTERNAL)


def _own_code(error: Exception) -> str | None:
    """Return the code that a rejection brings along."""
    code = getattr(error, "code", None)
    return code if isinstance(code, str) and code in CATALOGUE else None


def _codes() -> tuple[tuple[tuple[type[Exception], ...], str], ...]:
    # Imported here, where something did go wrong: `--help` must not wait for the drivers.
    import asyncpg
    from aiokafka.errors import KafkaError

    from passbook.client.errors import ClientError
    from passbook.domain.errors import MalformedValue, UnknownEventType, UnknownSchemaVersion
    from passbook.eventstore.errors import (
        AccountNotFound,
        AnotherArchiving,
        ConcurrencyError,
        LogIncomplete,
        MomentNotPast,
        StoreUnavailable,
    )
    from passbook.messaging.consumer import ConsumerLost
    from passbook.messaging.producer import PublishFailed
    from passbook.projection.errors import AnotherRebuild, NothingKept
    from passbook.projection.waiting import NotThatFar

    return (
        ((MalformedValue,), "malformed"),
        ((MomentNotPast,), "moment_not_past"),
        ((AccountNotFound,), "account_not_found"),
        ((NothingKept,), "not_found"),
        ((ConcurrencyError, AnotherArchiving, AnotherRebuild), "conflict"),
        ((UnknownEventType, UnknownSchemaVersion, LogIncomplete), "unreadable"),
        ((NotThatFar,), "not_that_far"),
        ((StoreUnavailable, ConsumerLost, PublishFailed, KafkaError), "unavailable"),
        ((ClientError,), "unavailable"),
        ((asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError), "unavailable"),
        ((ConnectionError, TimeoutError), "unavailable"),
    )
