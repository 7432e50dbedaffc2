"""What an authority of one's own signs is taken by those who look closely."""

import ssl
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from tests.support.certificates import Authority

_HOST: Final = "127.0.0.1"
_MOST_STEPS: Final = 10


def _context(purpose: ssl.Purpose, trusted: Authority, own: tuple[Path, Path]) -> ssl.SSLContext:
    """Return what Python makes by default since 3.13, with a certificate asked of either side."""
    context = ssl.create_default_context(purpose, cafile=trusted.file)
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(*own)
    return context


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """Return when both have accepted the other's certificate."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    waiting = [
        client.wrap_bio(to_client, to_server, server_hostname=_HOST),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for side in islice(cycle(tuple(waiting)), _MOST_STEPS):
        if side in waiting:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
    assert waiting == []


def test_servers_and_clients_are_believed_by_the_strictest_of_the_others(tmp_path: Path) -> None:
    """As Python 3.13 and later look at certificates. Seen to fail without the key usage of the
    authority, and without the identifier of its key in what it signs.
    """
    authority = Authority(tmp_path)
    server = _context(ssl.Purpose.CLIENT_AUTH, authority, authority.issue("kafka", _HOST))
    client = _context(ssl.Purpose.SERVER_AUTH, authority, authority.issue("passbook_admin"))

    _shake_hands(client, server)
