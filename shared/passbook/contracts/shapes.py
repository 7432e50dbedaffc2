"""The JSON of what we send: the outcome, and the data of every event type and schema version.

`messaging.outcomes` and `domain.events` write it; nothing is validated against these shapes while
services run. They are open: a field may be added, so a reader passes over what it does not know.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, WithJsonSchema
from typing_extensions import TypedDict  # the standard one does for pydantic from 3.12 on

from passbook.domain.errors import AccountError
from passbook.domain.money import AMOUNT_PATTERN
from passbook.domain.text import NAME_LENGTH, TEXT_LENGTH
from passbook.messaging.command_shapes import NO_CONTROLS_PATTERN, UUID_PATTERN, AccountId, Version
from passbook.messaging.commands import MALFORMED, UNSUPPORTED_COMMAND
from passbook.messaging.outcomes import CONFLICT


def _when(rule: type[AccountError]) -> str:
    sentence, _, _ = (rule.__doc__ or "").partition(". ")
    return sentence.rstrip(".") + "."


CODES: Final = {
    **{rule.code: _when(rule) for rule in AccountError.__subclasses__()},
    CONFLICT: "The command id was used before, with other content.",
    MALFORMED: "The message cannot be understood.",
    UNSUPPORTED_COMMAND: "There is no such command, or no such version of its schema.",
}
"""Code of an outcome's error → when."""
_EXACT: Final = "^" + AMOUNT_PATTERN.replace("{1,2})?", "{2})") + "$"

Uuid = Annotated[
    str,
    StringConstraints(pattern=UUID_PATTERN),
    WithJsonSchema(
        {
            "type": "string",
            "format": "uuid",
            "pattern": UUID_PATTERN,
            "examples": ["019ab0c4-7c1e-7a53-8f0e-2d7a9f6e1b02"],
        }
    ),
]
Money = Annotated[
    str,
    StringConstraints(pattern=_EXACT),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": _EXACT,
            "description": "An amount of money, a string with exactly two decimals.",
            "examples": ["650.00"],
        }
    ),
]
OwnerName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=NAME_LENGTH,
        pattern=NO_CONTROLS_PATTERN,
        description="The owner's name, in normal form C.",
        examples=["Zoë Müller"],
    ),
]
Remark = Annotated[
    str,
    Field(
        max_length=TEXT_LENGTH,
        pattern=NO_CONTROLS_PATTERN,
        description="A text of the sender, in normal form C; empty when none was given.",
        examples=["salary"],
    ),
]


class RefusalData(TypedDict):
    """Why a command was rejected."""

    code: Annotated[
        str,
        Field(
            pattern="^[a-z][a-z_]*$",
            description="The rule that said no. Codes keep their meaning; new ones may be added. "
            + " ".join(f"`{code}`: {when}" for code, when in CODES.items()),
            examples=["insufficient_funds"],
        ),
    ]
    message: Annotated[
        str,
        Field(
            description="The reason, for people.",
            examples=["Insufficient funds: balance=650.00, requested=1000.00"],
        ),
    ]


class OutcomeData(TypedDict):
    """What was decided on a command, once and for ever."""

    command_id: Annotated[Uuid, Field(description="The command, as its sender named it.")]
    account_id: Annotated[
        AccountId | None,
        Field(description="Null only when the message did not say which account it is about."),
    ]
    outcome: Literal["accepted", "rejected"]
    version: Annotated[
        Version,
        Field(description="The account's version after an accepted command, or as a rejected saw."),
    ]
    events: Annotated[
        list[Uuid],
        Field(description="The ids of the events it caused, in their order; none when rejected."),
    ]
    error: Annotated[
        RefusalData | None, Field(description="Null exactly when the command was accepted.")
    ]


class AccountOpenedV1(TypedDict):
    """The account exists from here on, with its first deposit."""

    account_id: AccountId
    owner_name: OwnerName
    initial_deposit: Money


class MoneyDepositedV1(TypedDict):
    """Money came in. Not written any more; a reader takes `legacy-deposit` for the reference."""

    account_id: AccountId
    amount: Money


class MoneyDepositedV2(TypedDict):
    """Money came in."""

    account_id: AccountId
    amount: Money
    reference: Remark


class MoneyWithdrawnV1(TypedDict):
    """Money went out."""

    account_id: AccountId
    amount: Money
    reference: Remark


class AccountFrozenV1(TypedDict):
    """No money moves until further notice."""

    account_id: AccountId
    reason: Remark


class AccountClosedV1(TypedDict):
    """The end: the closing balance is what the owner is to be paid out."""

    account_id: AccountId
    closing_balance: Money


EVENTS: Final[dict[tuple[str, int], type[Any]]] = {
    ("AccountOpened", 1): AccountOpenedV1,
    ("MoneyDeposited", 1): MoneyDepositedV1,
    ("MoneyDeposited", 2): MoneyDepositedV2,
    ("MoneyWithdrawn", 1): MoneyWithdrawnV1,
    ("AccountFrozen", 1): AccountFrozenV1,
    ("AccountClosed", 1): AccountClosedV1,
}
"""(event type, schema version) → the shape of its data. Nothing is ever taken out."""
