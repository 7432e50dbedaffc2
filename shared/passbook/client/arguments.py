"""What a caller may write for an amount, an id or a group, made into what the bank wants."""

import re
from decimal import Decimal
from typing import Final
from uuid import UUID, uuid4, uuid5

from passbook.domain.errors import MalformedValue
from passbook.domain.money import parse_amount, to_money
from passbook.messaging.command_shapes import UUID_PATTERN
from passbook.messaging.topics import Topics

_UUID_TEXT: Final = re.compile(UUID_PATTERN[1:-1], re.ASCII | re.IGNORECASE)
_ACCOUNTS: Final = UUID("3ea9c0a4-8a76-5f54-9f0b-9d3d1d1f2c11")
_SHOWN_CHARACTERS: Final = 60


def amount_of(value: Decimal | str | int) -> Decimal:
    """Return an amount with two places.

    Raises:
        TypeError: a float, which is not exact, or anything else; write `"20.50"`.
        MalformedValue: no amount of money: "1e3", "20.505", a negative number.
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | str | int):
        message = f"an amount is a Decimal, a str like '20.50' or an int, not {value!r}"
        raise TypeError(message)
    if isinstance(value, str):
        return parse_amount(value)
    # By way of its text, so that there is one answer to what an amount is.
    return parse_amount(f"{to_money(value):f}")


def id_of(value: UUID | str) -> UUID:
    """Return a UUID.

    Raises:
        TypeError: neither UUID nor str.
        MalformedValue: a text that is no UUID in its usual form.
    """
    if isinstance(value, UUID):
        return value
    if not isinstance(value, str):
        message = f"an id is a UUID or its text, not {value!r}"
        raise TypeError(message)
    if _UUID_TEXT.fullmatch(value) is None:
        message = f"not a UUID: {value[:_SHOWN_CHARACTERS]!a}"
        raise MalformedValue(message)
    return UUID(value)


def command_id_of(value: UUID | str | None) -> UUID:
    """Return the id that was given for a command, or a new one.

    Raises:
        TypeError, MalformedValue: see `id_of`.
    """
    return uuid4() if value is None else id_of(value)


def account_opened_by(command_id: UUID) -> UUID:
    """Return the id of the account that a command opens whose sender does not choose one.

    Made from the command's id: sent again, the command opens the same account, not another one.
    """
    return uuid5(_ACCOUNTS, command_id.hex)


def checked_group(group: str, topics: Topics) -> str:
    """Return the name of a group of subscribers.

    Raises:
        ValueError: empty, or one of those that the bank's own services have.
    """
    if not group or group.startswith(topics.prefix):
        message = f"a group has a name, and not one that begins with {topics.prefix!r}: {group!r}"
        raise ValueError(message)
    return group
