"""Which messages of a batch are followed: looked at in the text of `traceparent`, before anything is
made of it.

Source: W3C Trace Context, 3.2.2: version, trace id, parent id, flags, in lower-case hexadecimal; the
lowest bit of the flags says sampled.
"""

import re
import time
from collections.abc import Callable, Sequence
from heapq import nsmallest
from typing import Final, TypeVar

MOST_FOLLOWED: Final = 128
"""Messages of one batch that have spans of their own and links; OpenTelemetry's limit for links."""
MOST_A_SECOND: Final = 500
"""Messages that one service follows in a second. A span costs 50 µs of CPU until it is sent, where a
command is decided in 40.
"""

_CONTEXT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII
)
_ODD: Final = "13579bdf"
_RATIO: Final = slice(19, 35)
"""The 64 bits of a trace id that a sampler by ratio looks at."""

Thing = TypeVar("Thing")
Headers = Sequence[tuple[str, bytes | None]]


def sampled(traceparent: str | None) -> str | None:
    """Return it when it says that its trace is recorded, and is one."""
    if not traceparent or traceparent[-1] not in _ODD or not _CONTEXT.fullmatch(traceparent):
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


class Choice:
    """Picks which of many are followed, up to `MOST_FOLLOWED` of a batch and `MOST_A_SECOND`: those
    with the lowest trace ids. Whoever sees two commands in one batch picks the same one of them, and
    services that work at the same pace pick the same ones, so that traces stay whole.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with a whole batch's worth."""
        self._clock = clock
        self._at = clock()
        self._left = float(MOST_FOLLOWED)

    def of(self, found: list[tuple[str, Thing]]) -> list[tuple[str, Thing]]:
        """Return those of (traceparent, thing) that are followed."""
        now = self._clock()
        earned = (now - self._at) * MOST_A_SECOND
        self._at, self._left = now, min(float(MOST_FOLLOWED), self._left + earned)
        picked = nsmallest(int(self._left), found, key=lambda one: one[0][_RATIO])
        self._left -= len(picked)
        return picked
