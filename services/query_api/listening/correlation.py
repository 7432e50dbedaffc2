"""The correlation id of a request: the caller's, for the command that it causes and for the log."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from starlette.types import Scope

CORRELATION_ID: Final = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)
_HEADER: Final = b"x-correlation-id"


@contextmanager
def correlated(scope: Scope) -> Iterator[None]:
    """Have the id in every line that is logged in the block, if the caller gave a sensible one."""
    for name, value in scope["headers"]:
        if name == _HEADER and CORRELATION_ID.fullmatch(value.decode("latin-1")):
            with structlog.contextvars.bound_contextvars(correlation_id=value.decode("latin-1")):
                yield
            return
    yield
