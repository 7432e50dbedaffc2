"""The JSON of each command, in strict mode: strings are strings, and nothing unknown is let in."""

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Final, NotRequired

from pydantic import ConfigDict, Field, PlainValidator, StringConstraints, TypeAdapter
from typing_extensions import TypedDict  # the standard one does for pydantic from 3.12 on

from passbook.domain.commands import (
    CloseAccount,
    Command,
    DepositMoney,
    FreezeAccount,
    OpenAccount,
    WithdrawMoney,
)
from passbook.domain.money import parse_amount
from passbook.domain.text import clean_name, clean_text

UUID_PATTERN: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
"""Lower case, as it is in keys."""


def _string(parse: Callable[[str], Any]) -> PlainValidator:
    """Accept a JSON string only, and what `parse` makes of it; numbers never reach Decimal."""

    def validate(value: object) -> object:
        if not isinstance(value, str):
            message = "must be a JSON string"
            raise ValueError(message)  # noqa: TRY004 - pydantic turns only ValueError into a report
        return parse(value)

    return PlainValidator(validate)


_AccountId = Annotated[str, StringConstraints(pattern=UUID_PATTERN)]
_Amount = Annotated[Decimal, _string(parse_amount)]
_Name = Annotated[str, _string(clean_name)]
_Text = Annotated[str, _string(clean_text)]
_Version = Annotated[int, Field(ge=0, lt=2**31)]
_STRICT: Final = ConfigDict(strict=True, extra="forbid")


class _Open(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    account_id: _AccountId
    owner_name: _Name
    initial_deposit: _Amount
    expected_version: NotRequired[_Version]


class _Move(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    account_id: _AccountId
    amount: _Amount
    reference: NotRequired[_Text]
    expected_version: NotRequired[_Version]


class _Freeze(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    account_id: _AccountId
    reason: _Text
    expected_version: NotRequired[_Version]


class _Close(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    account_id: _AccountId
    expected_version: NotRequired[_Version]


def _adapter(
    shape: type[Any], command: type[Command]
) -> tuple[Callable[[bytes], dict[str, Any]], type[Command]]:
    return TypeAdapter(shape).validate_json, command


COMMANDS: Final = {
    b"bank.OpenAccount": _adapter(_Open, OpenAccount),
    b"bank.DepositMoney": _adapter(_Move, DepositMoney),
    b"bank.WithdrawMoney": _adapter(_Move, WithdrawMoney),
    b"bank.FreezeAccount": _adapter(_Freeze, FreezeAccount),
    b"bank.CloseAccount": _adapter(_Close, CloseAccount),
}
"""`ce_type` → what validates its data and returns the fields, and the command they make."""
