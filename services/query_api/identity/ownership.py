"""Whose an account is: the actor of its first event, for ever."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import orjson

from passbook.eventstore.errors import AccountNotFound
from passbook.eventstore.pool import lent
from services.balance_projector.queries import AccountRow, account_owners
from services.query_api.backend import READ_TIMEOUT_S, Backend
from services.query_api.identity.callers import Caller

NOBODY: Final = ""
"""The owner of an account that was opened without an actor. No caller has this name."""


async def owner_of(backend: Backend, account_id: UUID) -> str | None:
    """Return the owner of an account, "" when nobody was named; None when it does not exist (yet).

    The events have the last word: the view may be behind, or from before it kept owners.

    Raises:
        What the servers do: StoreUnavailable, LogIncomplete, the driver's errors.
    """
    known = backend.owners.get(account_id)
    if known is not None:
        return known
    found = (await owners_in_the_view(backend, [account_id])).get(account_id)
    if found is None:
        first = await backend.store.history(account_id, limit=1)
        if not first:
            return None
        found = orjson.loads(first[0].metadata).get("actor", NOBODY)
    backend.owners.put(account_id, found)
    return found


async def owners_in_the_view(backend: Backend, account_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return whose accounts these are, of those that the view has with their owners.

    Raises:
        What the driver does, within `READ_TIMEOUT_S`.
    """
    async with lent(backend.rows, READ_TIMEOUT_S) as connection:
        return await account_owners(connection, account_ids)


def owns(caller: Caller, owner: str | None) -> bool:
    """Tell whether this owner is the caller. What nobody owns, or nobody knows, is not the caller's."""
    return bool(owner) and owner == caller.subject


async def must_own(backend: Backend, caller: Caller, account_id: UUID) -> None:
    """Return if the caller may see and command an account: the own one, or, with `bank:admin`, any,
    whether it exists or not.

    Raises:
        AccountNotFound: it does not exist or is somebody else's; nobody can tell which.
        What `owner_of` does.
    """
    if not caller.sees_all and not owns(caller, await owner_of(backend, account_id)):
        raise AccountNotFound(account_id)


async def must_own_row(backend: Backend, caller: Caller, row: AccountRow | None) -> bool:
    """Tell whether the caller may see a row of the balance view; the quick way of `must_own`, which
    asks no server but for a row from before the view kept owners. False without a row.
    """
    if row is None or caller.sees_all:
        return row is not None
    owner = row.owner if row.owner is not None else await owner_of(backend, row.account_id)
    return owns(caller, owner)
