"""Answers in JSON: made by orjson, from the documents that the command line prints too."""

from collections.abc import Mapping
from typing import Final

import orjson
from fastapi import Response

_FRESH: Final = "private, no-cache"


def json_response(
    document: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an answer that a cache may keep for its user, and has to ask about every time."""
    told = {"Cache-Control": _FRESH, **(headers or {})}
    return Response(orjson.dumps(document), status, told, "application/json")
