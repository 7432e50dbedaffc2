"""The `id:` of a Server-Sent Event: how far everything that was offered reaches, slot by slot.

`3:17,40:5` says: slot 3 up to number 17, slot 40 up to number 5, every other slot nothing. It covers
what was passed over for a filter too, so whoever resumes from it gets the rest of everything. `0:0`
is the beginning of the log: an empty id would make a browser forget that it had one.
"""

import re
from collections.abc import Sequence
from typing import Final

from passbook.domain.slots import SLOT_COUNT

LONGEST: Final = 64 * len("63:9223372036854775807,")
"""Bytes of the longest token there can be."""
PATTERN: Final = r"^[0-9]{1,2}:[0-9]{1,19}(,[0-9]{1,2}:[0-9]{1,19}){0,63}$"
BEGINNING: Final = "0:0"

_SHAPE: Final = re.compile(PATTERN.rstrip("$") + r"\Z", re.ASCII)
_LAST_NUMBER: Final = 2**63 - 1


class BadToken(ValueError):
    """A text that is no resume token; the message says why."""


def positions_of(token: str) -> list[int]:
    """Return the number of each of the 64 slots up to which `token` says that all was offered.

    Raises:
        BadToken: it is no token of ours.
    """
    if not _SHAPE.match(token):
        message = f"not a position such as 3:17,40:5: {token[:60]!a}"
        raise BadToken(message)
    positions = [0] * SLOT_COUNT
    seen = set()
    for part in token.split(","):
        slot, number = map(int, part.split(":"))
        if slot >= SLOT_COUNT or slot in seen or number > _LAST_NUMBER:
            message = (
                f"no slot of 0 to {SLOT_COUNT - 1}, or there twice, or a number too large: {part}"
            )
            raise BadToken(message)
        seen.add(slot)
        positions[slot] = number
    return positions


def token_of(positions: Sequence[int]) -> str:
    """Return the token that says these numbers, one for each slot."""
    return ",".join(f"{slot}:{n}" for slot, n in enumerate(positions) if n) or BEGINNING
