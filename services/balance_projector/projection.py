"""The heart of the balance projector: many events become one row an account, in two statements."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import asyncpg
import orjson

from passbook.domain.account import AccountStatus
from passbook.domain.errors import UnknownEventType
from passbook.domain.money import ZERO
from passbook.domain.upcasting import EventUpcaster
from passbook.messaging.events import PublishedEvent
from passbook.projection.protocol import CannotApply

# Half-empty pages: a balance changes far more often than it is created, and a new row version that
# fits on its page costs no index entry.
_DDL: Final = """
CREATE TABLE accounts (
    account_id uuid PRIMARY KEY,
    balance    numeric(18, 2) NOT NULL CHECK (balance >= 0 AND balance <= 9999999999999.99),
    version    integer NOT NULL CHECK (version > 0),
    slot       smallint NOT NULL,
    opened_at  timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    status     text NOT NULL CHECK (status IN ('active', 'frozen', 'closed')),
    owner_name text NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
GRANT SELECT, INSERT, UPDATE ON accounts TO {writer};
GRANT SELECT ON accounts TO passbook_reader;
"""
# Whose the account is, for ever: who opened it, '' when nobody was named. NULL in a row from before
# there was this column, until a rebuild. A page of somebody's accounts comes from the index; of what
# nobody owns there are none.
_DDL_OWNER: Final = """
ALTER TABLE accounts ADD COLUMN owner text;
CREATE INDEX accounts_of_an_owner ON accounts (owner, account_id) WHERE owner <> '';
"""
_OPEN: Final = """
INSERT INTO accounts
       (account_id, owner_name, owner, balance, status, version, opened_at, updated_at, slot)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::numeric[], $5::text[], $6::integer[],
                     $7::timestamptz[], $8::timestamptz[], $9::smallint[])
"""
_MOVE: Final = """
UPDATE accounts a
   SET balance = a.balance + n.change, status = coalesce(n.status, a.status),
       version = n.version, updated_at = n.updated_at
  FROM unnest($1::uuid[], $2::integer[], $3::numeric[], $4::text[], $5::integer[],
              $6::timestamptz[]) AS n(account_id, before, change, status, version, updated_at)
 WHERE a.account_id = n.account_id AND a.version = n.before
"""
_FORGET: Final = "DELETE FROM accounts WHERE account_id = $1"

_DAMAGE: Final = (KeyError, ArithmeticError, orjson.JSONDecodeError)
"""What an event raises whose data is not what any code has written."""


class _Change:
    """What a batch does to one account."""

    __slots__ = (
        "before",
        "change",
        "opened_at",
        "owner",
        "owner_name",
        "slot",
        "status",
        "time",
        "version",
    )

    def __init__(self, event: PublishedEvent) -> None:
        self.before = event.version - 1
        self.version = self.before
        self.change = ZERO
        self.status: str | None = None
        self.owner_name: str | None = None
        self.owner = ""
        self.opened_at = self.time = event.time
        self.slot = event.slot

    def fold(self, event: PublishedEvent, data: dict[str, str]) -> None:
        """Add one event.

        Raises:
            CannotApply: it does not follow the one before.
            UnknownEventType: this code is too old for it.
        """
        if event.version != self.version + 1:
            message = f"version {event.version} after version {self.version}"
            raise CannotApply(message)
        match event.event_type:
            case "MoneyDeposited":
                self.change += Decimal(data["amount"])
            case "MoneyWithdrawn":
                self.change -= Decimal(data["amount"])
            case "AccountOpened":
                self.owner_name = data["owner_name"]
                self.owner = event.actor
                self.change = Decimal(data["initial_deposit"])
                self.status = AccountStatus.ACTIVE.value
            case "AccountFrozen":
                self.status = AccountStatus.FROZEN.value
            case "AccountClosed":
                self.status = AccountStatus.CLOSED.value
            case unknown:
                raise UnknownEventType(unknown)
        self.version = event.version
        self.time = event.time


class BalanceProjection:
    """`accounts`: one row an account, as of its newest applied event."""

    version = 2
    needs = ("SELECT accounts", "INSERT accounts", "UPDATE accounts")
    parks = True
    evidence = False
    gather_s = 0.0

    def __init__(
        self,
        name: str = "balance",
        schema: str = "balances",
        writer: str = "passbook_balance_projector",
    ) -> None:
        """Be the view that readers know; another name, schema and login make one more of it."""
        self.name = name
        self.schema = schema
        self.writer = writer
        self.ddl: tuple[str, ...] = (_DDL.format(writer=writer), _DDL_OWNER)
        self._upcaster = EventUpcaster()

    async def apply(self, connection: asyncpg.Connection, events: Sequence[PublishedEvent]) -> None:
        """See `Projection.apply`: the events of an account are folded here, then written once."""
        changes: dict[str, _Change] = {}
        for event in events:
            change = changes.get(event.account_id)
            if change is None:
                change = changes[event.account_id] = _Change(event)
            try:
                data = self._upcaster.upcast(
                    event.event_type, event.schema_version, orjson.loads(event.data)
                )
                change.fold(event, data)
            except _DAMAGE as error:
                message = f"{event.account_id}: version {event.version} is damaged: {error!r}"
                raise CannotApply(message) from error
        moments = {change.time: datetime.fromisoformat(change.time) for change in changes.values()}
        opened, moved = [], []
        for account_id, change in changes.items():
            moment = moments[change.time]
            if change.owner_name is not None:
                opened.append(
                    (
                        account_id,
                        change.owner_name,
                        change.owner,
                        change.change,
                        change.status,
                        change.version,
                        datetime.fromisoformat(change.opened_at),
                        moment,
                        change.slot,
                    )
                )
            else:
                moved.append(
                    (
                        account_id,
                        change.before,
                        change.change,
                        change.status,
                        change.version,
                        moment,
                    )
                )
        if opened:
            await connection.execute(_OPEN, *zip(*opened, strict=True))
        if moved:
            status = await connection.execute(_MOVE, *zip(*moved, strict=True))
            if status != f"UPDATE {len(moved)}":
                message = f"{moved[0][0]}: no row at version {moved[0][1]}"
                raise CannotApply(message)

    async def forget(self, connection: asyncpg.Connection, account_id: UUID) -> None:
        """See `ParkingProjection.forget`."""
        await connection.execute(_FORGET, account_id)


def inline() -> BalanceProjection:
    """Return the form that runs inside the appends: see `passbook.projection.inline`."""
    return BalanceProjection("inline_balance", "inline_balances", "passbook_command_service")
