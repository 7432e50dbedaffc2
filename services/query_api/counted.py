"""What is counted of requests and streams, there with 0 from the start."""

from typing import Final

from passbook.series import start_at_zero
from passbook.telemetry import HTTP_REFUSED, HTTP_REQUESTS, STREAM_DROPPED
from services.query_api.app import ROUTERS

_STATUSES: Final = ("2xx", "4xx", "5xx")
_REFUSALS: Final = (
    "overloaded",
    "headers_too_large",
    "body_too_large",
    "request_timeout",
    "malformed",
    "cut_off",
)
_DROPPED: Final = ("queue", "timeout", "body", "stop")


def announce() -> None:
    """Have every series that the query API will count in from now on."""
    for router in ROUTERS:
        for route in router.routes:
            start_at_zero(HTTP_REQUESTS, (route.path,), sorted(route.methods), _STATUSES)
    start_at_zero(HTTP_REFUSED, _REFUSALS)
    start_at_zero(STREAM_DROPPED, _DROPPED)
