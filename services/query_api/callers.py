"""Who is asking, and what that allows: what the routes depend on."""

from dataclasses import dataclass
from typing import Final

from starlette.requests import HTTPConnection

READ: Final = "bank:read"
COMMAND: Final = "bank:command"
ADMIN: Final = "bank:admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whose token was checked; `subject` is None where no tokens are configured."""

    subject: str | None
    scopes: frozenset[str]

    @property
    def sees_all(self) -> bool:
        """Whether other people's accounts may be seen and commanded."""
        return ADMIN in self.scopes


ANYBODY: Final = Caller(None, frozenset({READ, COMMAND, ADMIN}))
"""Every caller of a service that listens on loopback only and has no tokens configured."""


async def reader(connection: HTTPConnection) -> Caller:
    """Return the caller of a route that needs `bank:read`."""
    del connection
    return ANYBODY


async def commander(connection: HTTPConnection) -> Caller:
    """Return the caller of a route that needs `bank:command`."""
    del connection
    return ANYBODY


async def admin(connection: HTTPConnection) -> Caller:
    """Return the caller of a route that needs `bank:admin`."""
    del connection
    return ANYBODY
