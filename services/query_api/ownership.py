"""Whose an account is: the actor of its first event, for ever."""

from uuid import UUID

from services.query_api.backend import Backend
from services.query_api.callers import Caller


async def owner_of(backend: Backend, account_id: UUID) -> str | None:
    """Return the owner of an account, "" when nobody was named; None when it does not exist."""
    events = await backend.store.history(account_id)
    return None if not events else ""


async def must_own(backend: Backend, caller: Caller, account_id: UUID) -> None:
    """Return if the caller may see and command an account: the own one, or, with `bank:admin`, any.

    Raises:
        AccountNotFound: it does not exist or is somebody else's; nobody can tell which.
    """
    if not caller.sees_all:
        raise NotImplementedError(account_id, backend)
