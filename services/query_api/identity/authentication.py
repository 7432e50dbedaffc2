"""From an `Authorization` header to a caller: RFC 6750, and what was found out is remembered."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from passbook.config import MissingSetting
from services.query_api.identity.callers import ADMIN, SCOPES, Caller
from services.query_api.identity.keys import Keys, KeySet, KeysUnavailable, keys_from
from services.query_api.identity.tokens import TokenRefused, UnknownKey, read_token
from services.query_api.problems import Problem

MOST_REMEMBERED: Final = 10_000
"""Tokens; some 5 MB."""
_CHALLENGE: Final = 'Bearer realm="passbook"'
_RETRY_AFTER: Final = {"Retry-After": "5"}


class _Remembered(NamedTuple):
    """Who a token is of, and with which keys that was found."""

    caller: Caller
    keys: KeySet


class Authenticator:
    """Tells who is asking. A token that was checked is not checked again before it expires or other
    keys are read; what is kept of it is a hash.
    """

    def __init__(
        self, keys: Keys, issuer: str, audience: str, clock: Callable[[], float] = time.time
    ) -> None:
        """Go by the tokens of `issuer` for `audience`."""
        self._keys = keys
        self._expected = (issuer, audience)
        self._clock = clock
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()

    async def __call__(self, headers: Sequence[str], /) -> Caller:
        """Return who sent a request with these `Authorization` headers.

        Raises:
            Problem: `unauthorized`; `not_ready` while the keys cannot be read.
        """
        token = _bearer(headers)
        try:
            return await self._caller(token)
        except KeysUnavailable as error:
            message = "The keys of the tokens cannot be read; try again."
            raise Problem("not_ready", message, _RETRY_AFTER) from error
        except TokenRefused as error:
            message = f"The token was refused: {error}."
            raise _unauthorized(message, "invalid_token") from error

    async def trouble(self) -> str:
        """Return why callers cannot be told apart, or will not be for long: "" when they can.

        Reads the keys when it is time to. Call it every few seconds, for the probes.
        """
        try:
            keys = await self._keys.current()
        except KeysUnavailable as error:
            return f"the keys of the tokens: {error}"
        if self._keys.trouble:
            return f"the keys of the tokens: {self._keys.trouble}"
        return "" if keys.keys else "the keys of the tokens: there is none that can be used"

    async def _caller(self, token: str) -> Caller:
        keys = await self._keys.current()
        digest = sha256(token.encode()).digest()
        now = self._clock()
        found = self._remembered.get(digest)
        if found is not None and found.keys is keys and now < found.caller.until:
            self._remembered.move_to_end(digest)
            return found.caller
        try:
            read = read_token(token, keys, *self._expected, now)
        except UnknownKey:
            keys = await self._keys.newer()
            read = read_token(token, keys, *self._expected, now)
        scopes = SCOPES if ADMIN in read.scopes else SCOPES & read.scopes
        caller = Caller(read.subject, scopes, read.until)
        self._remembered[digest] = _Remembered(caller, keys)
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return caller


def authenticator(
    jwks: str | None, issuer: str | None, audience: str | None
) -> Authenticator | None:
    """Return what tells who is asking; None where no tokens are configured. `jwks` is a file or an
    http(s) URL, which need not be there yet.

    Raises:
        MissingSetting: some of the three are set and others are not.
    """
    if jwks is None and issuer is None and audience is None:
        return None
    if not jwks or not issuer or not audience:
        message = (
            "PASSBOOK_JWT_JWKS, PASSBOOK_JWT_ISSUER and PASSBOOK_JWT_AUDIENCE belong together: "
            "set all three, or none"
        )
        raise MissingSetting(message)
    return Authenticator(keys_from(jwks), issuer, audience)


def _bearer(headers: Sequence[str]) -> str:
    """Return the token.

    Source: RFC 6750 3.1: who has not even tried is told no error.
    """
    if len(headers) > 1:
        raise _unauthorized("There is more than one Authorization header.", "invalid_request")
    scheme, _, token = (headers[0] if headers else "").partition(" ")
    if scheme.lower() != "bearer":
        raise _unauthorized("A bearer token is needed.", None)
    return token.strip(" ")


def _unauthorized(detail: str, error: str | None) -> Problem:
    challenge = _CHALLENGE if error is None else f'{_CHALLENGE}, error="{error}"'
    return Problem("unauthorized", detail, {"WWW-Authenticate": challenge})
