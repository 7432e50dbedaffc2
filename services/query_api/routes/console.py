"""The page at `/`: the figures of the overview, live; and the document that describes everything else."""

import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import Final

import orjson
from fastapi import APIRouter, Request, Response

router = APIRouter(include_in_schema=False)

_PAGE: Final = (files("services.query_api.routes") / "console.html").read_bytes()


def _only(tag: bytes) -> str:
    """Return what a policy says to let this one inline element be, and no other."""
    (text,) = re.findall(rb"<%b>(.*?)</%b>" % (tag, tag), _PAGE, re.DOTALL)
    return f"'sha256-{b64encode(sha256(text).digest()).decode()}'"


_POLICY: Final = (
    f"default-src 'none'; script-src {_only(b'script')}; style-src {_only(b'style')}; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@router.get("/")
async def console() -> Response:
    """Show the console. It holds nothing itself: what it shows it asks for, with the user's token."""
    headers = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
    return Response(_PAGE, 200, headers, "text/html; charset=utf-8")


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """Return the OpenAPI document."""
    return Response(orjson.dumps(request.app.openapi()), 200, media_type="application/json")
