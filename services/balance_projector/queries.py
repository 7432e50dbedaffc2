"""Reading the balance view: one account, or a page of them in the order of their ids."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

MOST_ON_A_PAGE: Final = 1000

_ROW: Final = "SELECT account_id, owner_name, balance, status, version FROM balances.accounts"
_ACCOUNT: Final = f"{_ROW} WHERE account_id = $1"
_FIRST_PAGE: Final = f"{_ROW} ORDER BY account_id LIMIT $1"
_NEXT_PAGE: Final = f"{_ROW} WHERE account_id > $2 ORDER BY account_id LIMIT $1"


class AccountRow(NamedTuple):
    """An account as of its version, which may be behind the event store's."""

    account_id: UUID
    owner_name: str
    balance: Decimal
    status: str
    version: int


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


async def account_page(
    connection: asyncpg.Pool | asyncpg.Connection, limit: int, cursor: str | None = None
) -> Page:
    """Return up to `limit` accounts (1 to 1,000) after a cursor, an opaque text of a page before.

    Accounts that are opened meanwhile do not shift the pages.

    Raises:
        BadCursor: it is none.
    """
    limit = max(1, min(limit, MOST_ON_A_PAGE))
    if cursor is None:
        rows = await connection.fetch(_FIRST_PAGE, limit + 1)
    else:
        rows = await connection.fetch(_NEXT_PAGE, limit + 1, last_seen(cursor))
    accounts = [AccountRow._make(row) for row in rows[:limit]]
    return Page(accounts, page_cursor(accounts[-1].account_id) if len(rows) > limit else None)


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
