"""What a bearer token says, once it is sure that it was said by whom this service trusts.

A JSON Web Token, signed with an asymmetric key that the key set has. The claims `iss`, `aud`, `sub`
and `exp` must be there; `nbf` and `iat` are looked at where they are.
"""

from typing import Any, Final, NamedTuple

import jwt
import orjson

from passbook.domain.errors import MalformedValue
from passbook.domain.text import clean_text
from services.query_api.identity.keys import ALGORITHMS, KeySet

LONGEST: Final = 8192
"""Characters of a token, at most."""
LEEWAY_S: Final = 30
"""By how much the clock of who issues tokens may be ahead. `exp` means what it says."""

_JWS: Final = jwt.PyJWS(algorithms=sorted(ALGORITHMS))


class TokenRefused(Exception):
    """The token is not one to go by; the message says why and nothing of what is in it."""


class UnknownKey(TokenRefused):
    """It names a key that is not in the set, or not yet."""


class Token(NamedTuple):
    """What a token says: who, what that one may do, and until when (seconds since 1970)."""

    subject: str
    scopes: frozenset[str]
    until: float


def read_token(text: str, keys: KeySet, issuer: str, audience: str, now: float) -> Token:
    """Return what a token says that is good `now`, in seconds since 1970.

    Raises:
        UnknownKey: read the keys again, and then once more.
        TokenRefused: whatever else is wrong with it.

    Source: RFC 8725, best current practices.
    """
    claims = _signed(text, keys)
    until = _number(claims, "exp")
    if until is None:
        raise TokenRefused("it has no exp")
    if now >= until:
        raise TokenRefused("it is expired")
    for name in ("nbf", "iat"):
        moment = _number(claims, name)
        if moment is not None and moment > now + LEEWAY_S:
            message = f"its {name} is in the future"
            raise TokenRefused(message)
    if claims.get("iss") != issuer:
        raise TokenRefused("it is of another issuer")
    if audience not in _texts(claims.get("aud")):
        raise TokenRefused("it is for another audience")
    return Token(_subject(claims), _scopes(claims), until)


def _signed(text: str, keys: KeySet) -> dict[str, Any]:
    """Return the claims, whose signature is right."""
    algorithm, key_id = _header(text)
    named = keys.named(key_id)
    if not named:
        raise UnknownKey("its key is unknown")
    key = next((key for key in named if algorithm in key.algorithms), None)
    if key is None:
        raise TokenRefused("its algorithm does not fit the key")
    try:
        payload = _JWS.decode_complete(text, key.public, algorithms=[algorithm])["payload"]
        claims = orjson.loads(payload)
    except jwt.PyJWTError as error:
        raise TokenRefused("its signature is wrong") from error
    except orjson.JSONDecodeError as error:
        raise TokenRefused("its claims are no JSON") from error
    if not isinstance(claims, dict):
        raise TokenRefused("its claims are no object")
    return claims


def _header(text: str) -> tuple[str, str | None]:
    """Return the algorithm and the name of the key, as somebody says that nobody knows yet."""
    if len(text) > LONGEST:
        raise TokenRefused("it is too long")
    try:
        header = jwt.get_unverified_header(text)
    except jwt.PyJWTError as error:
        raise TokenRefused("it is no JSON Web Token") from error
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise TokenRefused("its algorithm is not one of this service")
    if not isinstance(key_id, str | None):
        raise TokenRefused("its kid is no text")
    # Extensions that must be understood: none is.
    if "crit" in header or "b64" in header:
        raise TokenRefused("it has critical extensions")
    return algorithm, key_id


def _subject(claims: dict[str, Any]) -> str:
    """Return who it is: a text that stands as it is in the metadata of events, for ever."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise TokenRefused("it has no sub")
    try:
        clean = clean_text(subject)
    except MalformedValue as error:
        raise TokenRefused("its sub is longer than 200 characters, or has a control") from error
    # What is normalised could become the subject of somebody else.
    if clean != subject:
        raise TokenRefused("its sub is not in Unicode's normal form C")
    return subject


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    """Return the scopes: of `scope` and `scp`, each a list or a text with spaces between them."""
    return frozenset(
        scope
        for name in ("scope", "scp")
        for text in _texts(claims.get(name))
        for scope in text.split()
    )


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str)]


def _number(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        message = f"its {name} is no number"
        raise TokenRefused(message)
    return value
