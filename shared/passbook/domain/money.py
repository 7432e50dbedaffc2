"""Money is `Decimal` with exactly two places, and this module is the only one that makes it."""

import re
from decimal import Decimal
from typing import Final

from passbook.domain.errors import MalformedValue

CENT: Final = Decimal("0.01")
ZERO: Final = Decimal("0.00")
MINIMUM_OPENING_DEPOSIT: Final = Decimal("100.00")
MAXIMUM_BALANCE: Final = Decimal("9999999999999.99")

# Matched before Decimal sees the text: Decimal also reads "1E+1000000", "NaN" and other scripts'
# digits, and spends seconds on some of them.
AMOUNT_PATTERN: Final = r"(?:0|[1-9][0-9]{0,12})(?:\.[0-9]{1,2})?"
_AMOUNT: Final = re.compile(AMOUNT_PATTERN, re.ASCII)
_SHOWN_CHARACTERS: Final = 40
_MOST_DIGITS: Final = MAXIMUM_BALANCE.adjusted() + 1


def parse_amount(text: str) -> Decimal:
    """Return the amount written in `text`, with two places.

    Accepts what is allowed on the wire: `0` or up to 13 digits without a leading zero, then
    optionally a point and one or two digits; no sign, exponent, blank or non-ASCII digit.

    Raises:
        MalformedValue: anything else.
    """
    if _AMOUNT.fullmatch(text) is None:
        shown = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
        message = f"not an amount: {shown!a}; write it like 20 or 20.50"
        raise MalformedValue(message)
    return Decimal(text).quantize(CENT)


def to_money(value: Decimal | int) -> Decimal:
    """Return `value` with two places, exactly; its sign is left for the rules to judge.

    Raises:
        MalformedValue: not finite, or more than two decimals.
        TypeError: a float or anything else that is not exact.
    """
    if type(value) is Decimal and value.same_quantum(CENT) and value.adjusted() <= _MOST_DIGITS:
        return value
    if isinstance(value, bool) or not isinstance(value, Decimal | int):
        message = f"money is Decimal, not {type(value).__name__}"
        raise TypeError(message)
    amount = Decimal(value)
    if not amount.is_finite() or amount.adjusted() > _MOST_DIGITS:
        message = f"not an amount of money: {str(amount)[:_SHOWN_CHARACTERS]}"
        raise MalformedValue(message)
    exact = amount.quantize(CENT)
    if exact != amount:
        message = f"at most two decimals: {str(amount)[:_SHOWN_CHARACTERS]}"
        raise MalformedValue(message)
    return exact
