"""The five things that can have happened to an account. Names and fields are stored: never rename.

An event is immutable and says its own data as a flat JSON object of strings, amounts included.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar, Final
from uuid import UUID

from passbook.domain.errors import UnknownEventType
from passbook.domain.money import parse_amount
from passbook.domain.stamps import new_uuid7


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact. `event_id` is a UUIDv7, `occurred_at` an aware time, `version` counts 1, 2, 3 … in
    the account's stream.
    """

    schema_version: ClassVar[int] = 1
    """The version of the shape of `data` that this code writes."""

    event_id: UUID = field(default_factory=new_uuid7)
    occurred_at: datetime = field(default_factory=_now)
    version: int = 1

    @property
    def event_type(self) -> str:
        """The stored and published name of this kind of event."""
        return type(self).__name__

    @property
    def data(self) -> dict[str, str]:
        """What the event says beyond its envelope; the JSON that is stored and published."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, object]:
        """Return `{"event_type", "event_id", "occurred_at", "version", "data"}`, ready for JSON."""
        return {
            "event_type": self.event_type,
            "event_id": str(self.event_id),
            "occurred_at": self.occurred_at.isoformat(),
            "version": self.version,
            "data": self.data,
        }


@dataclass(frozen=True, slots=True)
class AccountOpened(Event):
    """The account exists from here on, with its first deposit."""

    account_id: UUID
    owner_name: str
    initial_deposit: Decimal

    @property
    def data(self) -> dict[str, str]:
        """`{account_id, owner_name, initial_deposit}`."""
        return {
            "account_id": str(self.account_id),
            "owner_name": self.owner_name,
            "initial_deposit": str(self.initial_deposit),
        }


@dataclass(frozen=True, slots=True)
class _MoneyMoved(Event):
    schema_version: ClassVar[int] = 1

    account_id: UUID
    amount: Decimal
    reference: str

    @property
    def data(self) -> dict[str, str]:
        """`{account_id, amount, reference}`."""
        return {
            "account_id": str(self.account_id),
            "amount": str(self.amount),
            "reference": self.reference,
        }


@dataclass(frozen=True, slots=True)
class MoneyDeposited(_MoneyMoved):
    """Money came in. Schema version 1 had no `reference`."""

    schema_version: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class MoneyWithdrawn(_MoneyMoved):
    """Money went out."""


@dataclass(frozen=True, slots=True)
class AccountFrozen(Event):
    """No money moves until further notice."""

    account_id: UUID
    reason: str

    @property
    def data(self) -> dict[str, str]:
        """`{account_id, reason}`."""
        return {"account_id": str(self.account_id), "reason": self.reason}


@dataclass(frozen=True, slots=True)
class AccountClosed(Event):
    """The end. `closing_balance` is what the owner is to be paid out."""

    account_id: UUID
    closing_balance: Decimal

    @property
    def data(self) -> dict[str, str]:
        """`{account_id, closing_balance}`."""
        return {
            "account_id": str(self.account_id),
            "closing_balance": str(self.closing_balance),
        }


AccountEvent = AccountOpened | MoneyDeposited | MoneyWithdrawn | AccountFrozen | AccountClosed

EVENT_TYPES: Final[dict[str, type[AccountEvent]]] = {
    cls.__name__: cls
    for cls in (AccountOpened, MoneyDeposited, MoneyWithdrawn, AccountFrozen, AccountClosed)
}


def event_from_data(  # noqa: PLR0913 - an event's envelope has this many parts
    event_type: str,
    data: dict[str, str],
    *,
    account_id: UUID,
    event_id: UUID,
    occurred_at: datetime,
    version: int,
) -> AccountEvent:
    """Return the event that `data`, of the newest schema version, describes.

    Raises:
        UnknownEventType: this code has no such event.
        KeyError, MalformedValue: `data` is not what this code writes; the log is damaged.
    """
    match event_type:
        case "MoneyDeposited":
            cls: type[MoneyDeposited | MoneyWithdrawn] = MoneyDeposited
        case "MoneyWithdrawn":
            cls = MoneyWithdrawn
        case "AccountOpened":
            return AccountOpened(
                account_id,
                data["owner_name"],
                parse_amount(data["initial_deposit"]),
                event_id=event_id,
                occurred_at=occurred_at,
                version=version,
            )
        case "AccountFrozen":
            return AccountFrozen(
                account_id,
                data["reason"],
                event_id=event_id,
                occurred_at=occurred_at,
                version=version,
            )
        case "AccountClosed":
            return AccountClosed(
                account_id,
                parse_amount(data["closing_balance"]),
                event_id=event_id,
                occurred_at=occurred_at,
                version=version,
            )
        case _:
            raise UnknownEventType(event_type)
    return cls(
        account_id,
        parse_amount(data["amount"]),
        data["reference"],
        event_id=event_id,
        occurred_at=occurred_at,
        version=version,
    )
