"""The JSON of the answers, for the OpenAPI document. Nothing is validated against it while the service
runs; tests compare real answers with it.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict  # the standard one does for pydantic from 3.12 on

from passbook.catalogue import CATALOGUE
from passbook.contracts.shapes import Money, OutcomeData, OwnerName, Uuid
from passbook.messaging.command_shapes import AccountId, Version

Time = Annotated[
    str,
    Field(
        json_schema_extra={"format": "date-time"},
        description="RFC 3339, in UTC.",
        examples=["2026-01-31T12:00:00.120000Z"],
    ),
]
_Slot = Annotated[int, Field(ge=0, lt=64)]
_Count = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(ge=0)]


class ProblemData(TypedDict, total=False):
    """Why it could not be done (RFC 9457)."""

    type: Annotated[str, Field(examples=["urn:passbook:problem:account_not_found"])]
    title: Annotated[str, Field(description="The same for every occurrence of the code.")]
    status: Annotated[int, Field(ge=400, le=599)]
    detail: Annotated[str, Field(description="The reason, for people.")]
    code: Annotated[
        str,
        Field(
            description="What a program goes by: one of "
            + ", ".join(f"`{code}`" for code in CATALOGUE)
            + ". New ones may be added.",
            examples=["account_not_found"],
        ),
    ]
    version: Annotated[
        Version, Field(description="The account's version as a rejected command saw it.")
    ]
    command_id: Annotated[Uuid, Field(description="The command that was rejected, or in doubt.")]


class UnderWayData(TypedDict):
    """The command is on its way; its outcome will be where `Location` says."""

    command_id: Uuid
    account_id: AccountId
    outcome: None


class AsOfData(TypedDict):
    """What an answer shows."""

    version: Version
    recorded_at: Annotated[Time | None, Field(description="When that version was recorded.")]


class AccountData(TypedDict):
    """An account as of its version."""

    account_id: AccountId
    owner_name: OwnerName
    balance: Money
    status: Literal["active", "frozen", "closed"]
    version: Version
    as_of: AsOfData


class AccountPage(TypedDict):
    """Accounts in the order of their ids."""

    accounts: list[AccountData]
    next_cursor: Annotated[str | None, Field(description="`cursor` of the next page; null: none.")]


class EventData(TypedDict):
    """An event as it stands in the log."""

    slot: _Slot
    slot_seq: Annotated[int, Field(ge=1)]
    version: Version
    event_type: Annotated[str, Field(examples=["MoneyDeposited"])]
    event_id: Uuid
    schema_version: Annotated[int, Field(ge=1)]
    data: Annotated[dict[str, Any], Field(description="As it was stored.")]
    read_as: Annotated[dict[str, Any], Field(description="The same in the newest shape.")]
    occurred_at: Time
    recorded_at: Time
    command_id: Annotated[Uuid | None, Field(description="The command that caused it.")]
    actor: Annotated[str | None, Field(description="Who wanted it.")]


class LogEventData(EventData):
    """An event of the log of all accounts: the data of a Server-Sent Event."""

    stream_id: Annotated[Uuid, Field(description="The account.")]


_Next = Annotated[
    Version | None, Field(description="`after_version` of the next page; null: there is none yet.")
]


class EventPage(TypedDict):
    """Events of an account, oldest first."""

    events: list[EventData]
    next_after_version: _Next


class AuditEntryData(TypedDict):
    """An entry of the audit log; hashes in hexadecimal."""

    slot: _Slot
    slot_seq: Annotated[int, Field(ge=1)]
    event_id: Uuid
    account_id: AccountId
    version: Version
    event_type: str
    schema_version: Annotated[int, Field(ge=1)]
    data: dict[str, Any]
    actor: str
    command_id: str
    correlation_id: str
    occurred_at: Time
    recorded_at: Time
    prev_hash: str
    hash: str


class AuditPage(TypedDict):
    """Entries about an account, oldest first."""

    entries: list[AuditEntryData]
    next_after_version: _Next


class ProjectionData(TypedDict):
    """How far a read model is."""

    name: str
    version: Annotated[int, Field(ge=0)]
    events_behind: _Count
    seconds_behind: _Seconds
    parked: Annotated[int, Field(ge=0, description="Accounts that it cannot apply.")]
    positions: Annotated[dict[str, int], Field(description="slot → number of the last event.")]
    copies: list[str]


class AccountFigures(TypedDict):
    """How many accounts there are in the balance view."""

    active: _Count
    frozen: _Count
    closed: _Count


class RelayFigures(TypedDict):
    """What is stored and not published."""

    backlog_events: _Count
    backlog_s: _Seconds


class ProjectionFigures(TypedDict):
    """How far a read model is behind the log."""

    name: str
    events_behind: _Count
    seconds_behind: _Seconds
    parked: _Count


class OverviewData(TypedDict):
    """Figures for a console."""

    service_version: str
    taken_at: Time
    accounts: AccountFigures
    balance_sum: Annotated[
        str, Field(description="Of all balances of the view.", examples=["1234567.00"])
    ]
    events: Annotated[int, Field(ge=0, description="In the log.")]
    relay: RelayFigures
    projections: list[ProjectionFigures]


SHAPES: Final[tuple[Any, ...]] = (
    *(ProblemData, OutcomeData, UnderWayData, AccountData, AccountPage, EventPage, AuditPage),
    *(LogEventData, ProjectionData, OverviewData),
)
_REF: Final = "#/components/schemas/{model}"


def schemas() -> dict[str, Any]:
    """Return name → JSON Schema of every shape, and of those they are made of."""
    inputs = [(shape.__name__, "serialization", TypeAdapter(shape)) for shape in SHAPES]
    _, document = TypeAdapter.json_schemas(inputs, ref_template=_REF)  # type: ignore[arg-type]
    found: dict[str, Any] = document["$defs"]
    return found
