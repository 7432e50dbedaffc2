"""The keys that sign the callers' tokens: a JSON Web Key Set, read again and again."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWTError

from services.query_api.identity.fetching import CannotFetch, read_file, read_url

KEPT_S: Final = 600.0
"""How long keys are used that cannot be read again; after that, nobody can be told from anybody."""
_PATIENCE_S: Final = 5.0

_MOST_KEYS: Final = 100
_RSA_BITS: Final = 2048
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_ALGORITHMS: Final[dict[tuple[str, str | None], tuple[str, ...]]] = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
"""Key type and curve → what may be signed with it. Nothing symmetric: who can check could sign."""
ALGORITHMS: Final = frozenset(name for names in _ALGORITHMS.values() for name in names)

# Only what makes a public key: a private part that was left in is not even read.
_PUBLIC: Final = ("kty", "n", "e", "crv", "x", "y")

log = structlog.get_logger()


class KeysUnavailable(Exception):
    """The keys cannot be read, so that nobody can be told who a token is from; ask again later."""


class UnusableKey(ValueError):
    """A key of the set that is not used here; the message says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key, and the algorithms that it may have been used with."""

    key_id: str | None
    algorithms: frozenset[str]
    public: Any


@dataclass(frozen=True, slots=True, eq=False)
class KeySet:
    """Keys that hold at the same time. Another object is another set."""

    keys: Sequence[Key]

    def named(self, key_id: str | None) -> list[Key]:
        """Return the keys of a name, which may be several; without a name, the only one there is."""
        if key_id is None:
            return list(self.keys) if len(self.keys) == 1 else []
        return [key for key in self.keys if key.key_id == key_id]


def key_set(document: bytes) -> KeySet:
    """Return the keys of a JSON Web Key Set that can be used here.

    Raises:
        CannotFetch: it is no key set.

    Source: RFC 7517 5: keys of a kind that is not understood are ignored.
    """
    try:
        entries = orjson.loads(document)["keys"]
        if not isinstance(entries, list) or len(entries) > _MOST_KEYS:
            raise TypeError  # noqa: TRY301
    except (ValueError, KeyError, TypeError) as error:
        message = f"it is no JSON Web Key Set of at most {_MOST_KEYS} keys"
        raise CannotFetch(message) from error
    keys = []
    for number, entry in enumerate(entries):
        try:
            keys.append(_key(entry))
        except UnusableKey as error:
            log.warning("jwks.key_ignored", number=number, reason=str(error))
    return KeySet(keys)


def _key(entry: Any) -> Key:
    """Return a key of the set.

    Raises:
        UnusableKey: it is none, or not for this.
    """
    if not isinstance(entry, Mapping):
        raise UnusableKey("not an object")
    kind, curve = entry.get("kty"), entry.get("crv")
    if not isinstance(kind, str) or not isinstance(curve, str | None):
        raise UnusableKey("no kty")
    allowed = _ALGORITHMS.get((kind, None if kind == "RSA" else curve))
    if allowed is None:
        raise UnusableKey("not one of RSA, EC P-256 and P-384, OKP Ed25519")
    uses = entry.get("key_ops", ["verify"])
    if entry.get("use", "sig") != "sig" or not isinstance(uses, list) or "verify" not in uses:
        raise UnusableKey("not for signatures")
    own = entry.get("alg")
    if own is not None:
        allowed = tuple(name for name in allowed if name == own)
        if not allowed:
            raise UnusableKey("alg does not fit the key")
    key_id = entry.get("kid")
    if not isinstance(key_id, str | None):
        raise UnusableKey("kid is no text")
    try:
        public = PyJWK({name: entry[name] for name in _PUBLIC if name in entry}, allowed[0]).key
    except (PyJWTError, ValueError, TypeError) as error:
        raise UnusableKey("damaged") from error
    if isinstance(public, RSAPublicKey) and public.key_size < _RSA_BITS:
        raise UnusableKey("RSA of too few bits")
    return Key(key_id, frozenset(allowed), public)


class Keys:
    """The key set of a file or an address, as of `refresh_s` ago or less.

    It is read when somebody asks and its time has come; whoever asks meanwhile gets the one before.
    Unless it cannot be read: then that is used for `KEPT_S` more. A key that was removed therefore
    stops being good after `refresh_s`, and after `KEPT_S` at the latest.
    """

    def __init__(
        self,
        read: Callable[[], bytes],
        *,
        refresh_s: float,
        pause_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Call `read` in a thread, which raises `CannotFetch`, and never twice within `pause_s`."""
        self._read = read
        self._refresh_s = refresh_s
        self._pause_s = pause_s
        self._clock = clock
        self._reading = asyncio.Lock()
        self._document = b""
        self._keys: KeySet | None = None
        self._read_at = self._tried_at = float("-inf")
        self.trouble = ""

    async def current(self) -> KeySet:
        """Return the keys.

        Raises:
            KeysUnavailable: they could not be read for too long.
        """
        now = self._clock()
        old = now - self._read_at
        if old >= self._refresh_s and now - self._tried_at >= self._pause_s:
            # Only who has nothing to go on with waits for somebody else's reading.
            if old >= KEPT_S or not self._reading.locked():
                await self._again(now)
            old = self._clock() - self._read_at
        if self._keys is None or old >= KEPT_S:
            raise KeysUnavailable(self.trouble or "the keys are being read")
        return self._keys

    async def newer(self) -> KeySet:
        """Return the keys as they are now: for a token that names one that is not among them.

        Raises:
            KeysUnavailable: they cannot be read, so that the key may well exist.
        """
        now = self._clock()
        if now - self._tried_at >= self._pause_s:
            await self._again(now)
        if self._keys is None or self.trouble:
            raise KeysUnavailable(self.trouble or "the keys are being read")
        return self._keys

    async def _again(self, asked_at: float) -> None:
        async with self._reading:
            if self._tried_at >= asked_at:
                return  # somebody has read them while this one waited
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    document = await asyncio.to_thread(self._read)
                keys = self._keys if document == self._document else key_set(document)
            except (CannotFetch, TimeoutError) as error:
                reason = str(error) or f"no answer within {_PATIENCE_S:.0f} s"
                if not self.trouble:
                    log.warning("jwks.unavailable", error=reason)
                self.trouble = reason
            else:
                if keys is not self._keys or self.trouble:
                    log.info("jwks.read", keys=0 if keys is None else len(keys.keys))
                self._document, self._keys, self.trouble = document, keys, ""
                self._read_at = self._clock()
            finally:
                self._tried_at = self._clock()


def keys_from(place: str) -> Keys:
    """Return the keys of a file, which is read every 2 s, or of an http(s) URL, every 60 s."""
    if place.startswith(("http://", "https://")):
        return Keys(lambda: read_url(place), refresh_s=60.0, pause_s=5.0)
    return Keys(lambda: read_file(Path(place)), refresh_s=2.0, pause_s=1.0)
