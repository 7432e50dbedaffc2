"""Who may ask a service that tells nobody apart: programs on this machine, and no web page.

A page of another site may make the browser send requests here, and read the answers too, once its name
resolves to 127.0.0.1 (DNS rebinding). It cannot choose what the browser says about it in `Host` and
`Origin`.
"""

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import Scope

from services.query_api.problems import Problem


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach what listens on `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_strangers(scope: Scope) -> None:
    """Return if a request was meant for this machine, by this machine.

    Raises:
        Problem: `misdirected`.
    """
    for name, value in scope["headers"]:
        if name == b"host" and not _names_us(b"//" + value):
            raise Problem("misdirected", "Without tokens, ask for 127.0.0.1 or localhost.")
        if name == b"origin" and not _names_us(value):
            raise Problem("misdirected", "Without tokens, pages of other sites are not answered.")


@lru_cache(maxsize=256)
def _names_us(place: bytes) -> bool:
    try:
        return is_loopback(urlsplit(place.decode("ascii", "replace")).hostname or "")
    except ValueError:
        return False
