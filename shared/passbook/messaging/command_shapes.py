"""The JSON of each command, in strict mode: strings are strings, and nothing unknown is let in."""

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Final, NotRequired

from pydantic import (
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    TypeAdapter,
    WithJsonSchema,
)
from typing_extensions import TypedDict  # the standard one does for pydantic from 3.12 on

from passbook.domain.commands import (
    CloseAccount,
    Command,
    DepositMoney,
    FreezeAccount,
    OpenAccount,
    WithdrawMoney,
)
from passbook.domain.money import AMOUNT_PATTERN, parse_amount
from passbook.domain.text import NAME_LENGTH, TEXT_LENGTH, clean_name, clean_text

UUID_PATTERN: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
"""Lower case, as it is in keys."""
NO_CONTROLS_PATTERN: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
"""What `passbook.domain.text` refuses, as far as a pattern can say it."""


def _string(parse: Callable[[str], Any]) -> PlainValidator:
    """Accept a JSON string only, and what `parse` makes of it; numbers never reach Decimal."""

    def validate(value: object) -> object:
        if not isinstance(value, str):
            message = "must be a JSON string"
            raise ValueError(message)  # noqa: TRY004 - pydantic turns only ValueError into a report
        return parse(value)

    return PlainValidator(validate)


AccountId = Annotated[
    str,
    StringConstraints(pattern=UUID_PATTERN),
    WithJsonSchema(
        {
            "type": "string",
            "format": "uuid",
            "pattern": UUID_PATTERN,
            "description": "An account: a UUID in lower case, the record key too.",
            "examples": ["0b5e8a9c-6f1d-4a34-9a57-0d5f0f6f3a11"],
        }
    ),
]
Amount = Annotated[
    Decimal,
    _string(parse_amount),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^{AMOUNT_PATTERN}$",
            "description": "An amount of money, a string: at most two decimals, no sign.",
            "examples": ["20", "20.50"],
        }
    ),
]
Name = Annotated[
    str,
    _string(clean_name),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": NAME_LENGTH,
            "pattern": NO_CONTROLS_PATTERN,
            "description": "A name without control characters; its length is that of its normal"
            " form C, which is what is kept.",
            "examples": ["Zoë Müller"],
        }
    ),
]
Text = Annotated[
    str,
    _string(clean_text),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": TEXT_LENGTH,
            "pattern": NO_CONTROLS_PATTERN,
            "description": "A text without control characters; its length is that of its normal"
            " form C, which is what is kept.",
            "examples": ["salary"],
        }
    ),
]
Version = Annotated[
    int,
    Field(ge=0, lt=2**31),
    WithJsonSchema(
        {
            "type": "integer",
            "minimum": 0,
            "maximum": 2**31 - 1,
            "description": "A version of an account: how many events it has. Without a decimal"
            " point.",
            "examples": [3],
        }
    ),
]
ExpectedVersion = Annotated[
    Version,
    Field(
        description="The version the account must have when this is decided, 0 for none yet;"
        " otherwise the command is rejected with `version_mismatch`."
    ),
]
_STRICT: Final = ConfigDict(strict=True, extra="forbid")


class OpenAccountData(TypedDict):
    """Open an account with a first deposit of at least 100.00."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    account_id: AccountId
    owner_name: Name
    initial_deposit: Amount
    expected_version: NotRequired[ExpectedVersion]


class DepositMoneyData(TypedDict):
    """Put money into an account."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    account_id: AccountId
    amount: Amount
    reference: NotRequired[Text]
    expected_version: NotRequired[ExpectedVersion]


class WithdrawMoneyData(DepositMoneyData):
    """Take money out of an account."""


class FreezeAccountData(TypedDict):
    """Stop all movements of an account."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    account_id: AccountId
    reason: Text
    expected_version: NotRequired[ExpectedVersion]


class CloseAccountData(TypedDict):
    """Close an account, also a frozen one."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    account_id: AccountId
    expected_version: NotRequired[ExpectedVersion]


SHAPES: Final[dict[type[Command], type[Any]]] = {
    OpenAccount: OpenAccountData,
    DepositMoney: DepositMoneyData,
    WithdrawMoney: WithdrawMoneyData,
    FreezeAccount: FreezeAccountData,
    CloseAccount: CloseAccountData,
}
"""Each command, and the shape of its data."""


def _adapter(
    command: type[Command], shape: type[Any]
) -> tuple[Callable[[bytes], dict[str, Any]], type[Command]]:
    return TypeAdapter(shape).validate_json, command


COMMANDS: Final = {
    f"bank.{command.__name__}".encode(): _adapter(command, shape)
    for command, shape in SHAPES.items()
}
"""`ce_type` → what validates its data and returns the fields, and the command they make."""
