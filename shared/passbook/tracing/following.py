"""Which messages of a batch are followed: looked at in the text of `traceparent`, before anything is
made of it.

Source: W3C Trace Context, 3.2.2: version, trace id, parent id, flags, in lower-case hexadecimal; the
lowest bit of the flags says sampled.
"""

import re
from collections.abc import Sequence
from heapq import nsmallest
from typing import Final, TypeVar

MOST_FOLLOWED: Final = 128
"""Messages of one batch that have spans of their own and links; OpenTelemetry's limit for links."""

_SAMPLED: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f][13579bdf]", re.ASCII
)
_RATIO: Final = slice(19, 35)
"""The 64 bits of a trace id that a sampler by ratio looks at."""

Thing = TypeVar("Thing")
Headers = Sequence[tuple[str, bytes | None]]


def sampled(traceparent: str | None) -> str | None:
    """Return it when it says that its trace is recorded, and is one."""
    if traceparent is None or _SAMPLED.fullmatch(traceparent) is None:
        return None
    return traceparent


def sampled_by(headers: Headers) -> str | None:
    """Return the sampled `traceparent` of an event, which is its last header, as the relay writes it."""
    if not headers:
        return None
    name, value = headers[-1]
    if name != "traceparent" or value is None:
        return None
    return sampled(value.decode("ascii", "replace"))


def chosen(found: list[tuple[str, Thing]]) -> list[tuple[str, Thing]]:
    """Return those of (traceparent, thing) that are followed. Whoever sees two commands in one batch
    picks the same one of them.
    """
    if len(found) <= MOST_FOLLOWED:
        return found
    return nsmallest(MOST_FOLLOWED, found, key=lambda one: one[0][_RATIO])
