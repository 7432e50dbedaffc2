"""The JSON that commands carry over HTTP: that of the Kafka commands without the account's id, which
is in the path. Strict: unknown fields, repeated fields and numbers for money are refused.
"""

from collections.abc import Callable
from typing import Any, Final, Generic, NotRequired, TypeVar

from fastapi import Request
from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # the standard one does for pydantic from 3.12 on

from passbook.domain.errors import MalformedValue
from passbook.messaging.command_shapes import AccountId, Amount, ExpectedVersion, Name, Text
from passbook.messaging.repetitions import repeated_field
from services.query_api.problems import Problem

_STRICT: Final = ConfigDict(strict=True, extra="forbid")
_JSON: Final = "application/json"


class OpenAccountBody(TypedDict):
    """Open an account; without an `account_id` it gets one that is made from the command's id."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    owner_name: Name
    initial_deposit: Amount
    account_id: NotRequired[AccountId]
    expected_version: NotRequired[ExpectedVersion]


class MoveMoneyBody(TypedDict):
    """Put money in, or take it out."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    amount: Amount
    reference: NotRequired[Text]
    expected_version: NotRequired[ExpectedVersion]


class FreezeAccountBody(TypedDict):
    """Stop all movements of an account."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    reason: Text
    expected_version: NotRequired[ExpectedVersion]


class CloseAccountBody(TypedDict):
    """Close an account; the body may be left out."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    expected_version: NotRequired[ExpectedVersion]


Shape = TypeVar("Shape")


class Body(Generic[Shape]):
    """Reads a body of one shape, and documents it."""

    def __init__(
        self, shape: type[Shape], example: dict[str, str], *, optional: bool = False
    ) -> None:
        """Read `shape`; an `optional` one may be left out."""
        adapter: TypeAdapter[Shape] = TypeAdapter(shape)
        self._validate: Callable[[bytes], Any] = adapter.validate_json
        self._optional = optional
        schema = adapter.json_schema()
        schema.pop("$defs", None)
        self.openapi: Final = {
            "requestBody": {
                "required": not optional,
                "content": {_JSON: {"schema": schema, "example": example}},
            }
        }

    async def read(self, request: Request) -> dict[str, Any]:
        """Return the fields of a request's body.

        Raises:
            Problem: `unsupported_media_type`, `malformed`.
        """
        body = await request.body()
        if not body and self._optional:
            return {}
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != _JSON:
            raise Problem("unsupported_media_type", f"Send the body as {_JSON}.")
        try:
            fields: dict[str, Any] = self._validate(body)
            twice = repeated_field(body, len(fields))
        except ValidationError as error:
            raise Problem("malformed", f"body: {_described(error)}") from None
        except (MalformedValue, UnicodeDecodeError) as error:
            raise Problem("malformed", f"body: {error}") from None
        if twice:
            raise Problem("malformed", f"body: {twice}: given twice")
        return fields


def _described(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    why = first["ctx"]["error"] if first["type"] == "value_error" else first["msg"]
    text = f"{where}: {why}" if where else str(why)
    return "".join(one if one.isprintable() else "\ufffd" for one in text)[:300]
