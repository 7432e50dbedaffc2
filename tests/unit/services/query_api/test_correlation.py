"""The id of a request in every line that is logged for it. Seen to fail without binding it."""

from typing import Any

import pytest
import structlog

from services.query_api.listening.correlation import correlated


def _scope(*values: bytes) -> dict[str, Any]:
    return {"headers": [(b"host", b"here"), *((b"x-correlation-id", one) for one in values)]}


def test_the_callers_id_is_bound_for_the_request_and_not_longer() -> None:
    with correlated(_scope(b"case-4711")):
        assert structlog.contextvars.get_contextvars()["correlation_id"] == "case-4711"
    assert "correlation_id" not in structlog.contextvars.get_contextvars()


@pytest.mark.parametrize("values", [(), (b"",), (b"two words",), (b"\x1b[31m",), (b"x" * 201,)])
def test_what_is_no_id_is_not_bound(values: tuple[bytes, ...]) -> None:
    with correlated(_scope(*values)):
        assert "correlation_id" not in structlog.contextvars.get_contextvars()
