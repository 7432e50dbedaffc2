"""CloudEvents 1.0 in Kafka's binary mode: attributes are headers, the value is the data.

Source: CloudEvents Kafka protocol binding 1.0.2, section 3.2.
"""

from datetime import UTC, datetime
from typing import Final

import orjson

Header = tuple[str, bytes]

SPECVERSION: Final[Header] = ("ce_specversion", b"1.0")
SOURCE: Final[Header] = ("ce_source", b"/passbook")
JSON: Final[Header] = ("content-type", b"application/json")

PASSED_ON: Final = (
    ("correlation_id", "ce_correlationid"),
    ("actor", "ce_actor"),
    ("traceparent", "traceparent"),
)
"""(name in the metadata of an event, header): what is copied from a command to what it causes."""


def format_time(moment: datetime) -> str:
    """Return an aware time as RFC 3339 in UTC, like `2026-01-31T12:00:00.000001Z`."""
    # As the driver returns it, and five times as fast: half of a rebuild was spent here. Where the
    # fraction is nought, orjson leaves it out.
    if moment.tzinfo is UTC and moment.microsecond:
        return orjson.dumps(moment, option=orjson.OPT_UTC_Z)[1:-1].decode()
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
