"""What a server has to know of a password to check it: not the password.

A password that is set by `ALTER ROLE … PASSWORD` travels in the statement, and may end up in the
server's log. A SCRAM verifier, made on this side, does neither harm: nobody can log in with it.
"""

import hashlib
import hmac
import secrets
from base64 import b64encode
from typing import Final

_ITERATIONS: Final = 4096
"""What the server itself takes, as `scram_iterations`."""
_SALT_BYTES: Final = 16


def scram_verifier(password: str, *, salt: bytes | None = None) -> str:
    """Return a SCRAM-SHA-256 verifier, in the form that PostgreSQL keeps, with a salt of its own.

    Source: RFC 5802 section 3, RFC 7677; PostgreSQL 18, section 52.8 (pg_authid).

    Raises:
        ValueError: the password is empty, or not ASCII. How others are normalized is not the same
            in every client, so that one might get in and another not.
    """
    if not password or not password.isascii():
        message = "a password must be of ASCII characters, one at least"
        raise ValueError(message)
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${_ITERATIONS}:{_text(salt)}${_text(stored_key)}:{_text(server_key)}"


def _text(value: bytes) -> str:
    return b64encode(value).decode()
