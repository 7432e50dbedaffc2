"""Reading a view that must not be behind: wait until it shows a version, woken by its projector."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from passbook.eventstore.doorbell import DoorbellListener

_LOOK_AGAIN_S: Final = 0.25
"""What a ring that was lost costs at most."""
_LONGEST_PAUSE_S: Final = 0.02


class Versioned(Protocol):
    """A row of a view that says which version of the account it shows."""

    @property
    def version(self) -> int:
        """Counted from 1."""
        ...


Row = TypeVar("Row", bound=Versioned)


class NotThatFar(Exception):
    """The view has not reached the version within the time; `version` is where it is, 0: nowhere."""

    def __init__(self, version: int, min_version: int) -> None:
        super().__init__(f"at version {version}, not yet at {min_version}")
        self.version = version
        self.min_version = min_version


async def at_version(
    look: Callable[[], Awaitable[Row | None]],
    min_version: int,
    bell: DoorbellListener,
    *,
    timeout_s: float,
    look_again_s: float = _LOOK_AGAIN_S,
) -> Row | None:
    """Return what `look` finds as soon as its version is `min_version` or above; with 0 or less,
    whatever it finds at once, which may be None.

    Looks when the projector rings (`bell` is on its `doorbell_channel`; any number of callers may
    share one) and every `look_again_s`, since a ring may be lost. While it rings all the time, the
    looks get fewer: they are a quarter of the time waited so far apart, up to 20 ms.

    Raises:
        NotThatFar: not within `timeout_s`, which is bounded by the slowest look and nothing else.
    """
    started = time.monotonic()
    deadline = started + timeout_s
    while True:
        # Counted before the look: what is committed after it rings again.
        rings = bell.rings
        row = await look()
        version = 0 if row is None else row.version
        if version >= min_version:
            return row
        now = time.monotonic()
        if now >= deadline:
            raise NotThatFar(version, min_version)
        await bell.heard(rings, min(look_again_s, deadline - now))
        pause_s = min((now - started) / 4, _LONGEST_PAUSE_S) - (time.monotonic() - now)
        if pause_s > 0:
            await asyncio.sleep(pause_s)
