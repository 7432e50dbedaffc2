"""Clock and ids: the one seam through which time and chance reach the domain.

The aggregate asks a `Stamp` for the identity and the time of each new event and never looks at a
clock itself. Services and tests pass their own; `system_stamp` is what everybody else gets.
"""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

Stamp = Callable[[], tuple[UUID, datetime]]
"""Returns (event id: a UUIDv7, occurred at: an aware UTC time) for one new event."""


def system_stamp() -> tuple[UUID, datetime]:
    """Return a new UUIDv7 and the time now, from the operating system."""
    return new_uuid7(), datetime.now(UTC)


def new_uuid7() -> UUID:
    """Return a UUID whose order is the order of creation, by the millisecond.

    Source: RFC 9562, section 5.7.
    """
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = milliseconds << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)
