"""Who is asking, and what that allows: what the routes depend on."""

import math
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from starlette.requests import HTTPConnection

from services.query_api.problems import Problem

READ: Final = "bank:read"
COMMAND: Final = "bank:command"
ADMIN: Final = "bank:admin"
SCOPES: Final = frozenset({READ, COMMAND, ADMIN})


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whose token was checked, and is good until `until` (seconds since 1970). `subject` is
    None where no tokens are configured, and never empty. It is the `ce_actor` of what the caller has
    published.
    """

    subject: str | None
    scopes: frozenset[str]
    until: float = math.inf

    def __post_init__(self) -> None:
        """Refuse somebody whose own accounts would be those of nobody, or everybody's."""
        if not (self.subject or (self.subject is None and self.sees_all)):
            message = "without a name, only who may do everything"
            raise ValueError(message)

    @property
    def sees_all(self) -> bool:
        """Whether other people's accounts may be seen and commanded."""
        return ADMIN in self.scopes


ANYBODY: Final = Caller(None, SCOPES)
"""Every caller of a service that listens on loopback only and has no tokens configured."""


class Authenticate(Protocol):
    """What `app.state.authenticator` is, or None where no tokens are configured."""

    def __call__(self, headers: Sequence[str], /) -> Awaitable[Caller]:
        """Return who sent a request with these `Authorization` headers.

        Raises:
            Problem: `unauthorized`, or `not_ready` while the keys cannot be read.
        """
        ...


async def caller_of(connection: HTTPConnection) -> Caller:
    """Return who is asking, whatever the scopes.

    Raises:
        Problem: `unauthorized`, `not_ready`.
    """
    # Not getattr with a default: an application that was put together without it lets nobody in.
    authenticate: Authenticate | None = connection.app.state.authenticator
    if authenticate is None:
        return ANYBODY
    return await authenticate(connection.headers.getlist("authorization"))


async def reader(connection: HTTPConnection) -> Caller:
    """Return the caller of a route that needs `bank:read`.

    Raises:
        Problem: `unauthorized`, `forbidden`, `not_ready`.
    """
    return _with_one_of(await caller_of(connection), READ)


async def commander(connection: HTTPConnection) -> Caller:
    """Return the caller of a route that needs `bank:command`.

    Raises:
        Problem: `unauthorized`, `forbidden`, `not_ready`.
    """
    return _with_one_of(await caller_of(connection), COMMAND)


async def reader_or_commander(connection: HTTPConnection) -> Caller:
    """Return the caller of a route that needs `bank:read` or `bank:command`: what came of a command
    is for who gave it, too.

    Raises:
        Problem: `unauthorized`, `forbidden`, `not_ready`.
    """
    return _with_one_of(await caller_of(connection), COMMAND, READ)


async def admin(connection: HTTPConnection) -> Caller:
    """Return the caller of a route that needs `bank:admin`.

    Raises:
        Problem: `unauthorized`, `forbidden`, `not_ready`.
    """
    return _with_one_of(await caller_of(connection), ADMIN)


def _with_one_of(caller: Caller, *scopes: str) -> Caller:
    if caller.scopes.isdisjoint(scopes):
        challenge = f'Bearer realm="passbook", error="insufficient_scope", scope="{scopes[0]}"'
        raise Problem(
            "forbidden",
            f"The token lacks the scope {' or '.join(scopes)}.",
            {"WWW-Authenticate": challenge},
        )
    return caller
