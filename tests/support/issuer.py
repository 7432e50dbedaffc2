"""Somebody who issues tokens: keys, what is published of them, and tokens of any kind."""

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER: Final = "https://issuer.example"
AUDIENCE: Final = "passbook"
_TOKEN_S: Final = 600

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def private_key(algorithm: str) -> Private:
    """Return a new key to sign with."""
    match algorithm[:2]:
        case "ES":
            return ec.generate_private_key(ec.SECP384R1() if "384" in algorithm else ec.SECP256R1())
        case "Ed":
            return ed25519.Ed25519PrivateKey.generate()
        case _:
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwk(key: Private, key_id: str | None, **more: object) -> dict[str, Any]:
    """Return what is published of a key."""
    public = key.public_key()
    match public:
        case rsa.RSAPublicKey():
            entry = RSAAlgorithm.to_jwk(public, as_dict=True)
        case ec.EllipticCurvePublicKey():
            entry = ECAlgorithm.to_jwk(public, as_dict=True)
        case _:
            entry = OKPAlgorithm.to_jwk(public, as_dict=True)
    entry.pop("key_ops", None)
    return entry | ({} if key_id is None else {"kid": key_id}) | more


@dataclass
class Issuer:
    """Signs with the keys it has; `key_id` "es" is an EC key that all tokens use by default."""

    keys: dict[str, Private] = field(default_factory=lambda: {"es": private_key("ES256")})

    def jwks(self, *entries: Mapping[str, Any]) -> bytes:
        """Return the key set: all keys of the issuer, and these."""
        own = [jwk(key, key_id) for key_id, key in self.keys.items()]
        return orjson.dumps({"keys": [*own, *entries]})

    def token(
        self,
        subject: object = "ada",
        *scopes: str,
        algorithm: str = "ES256",
        key_id: str | None = "es",
        headers: Mapping[str, Any] | None = None,
        key: Private | None = None,
        **claims: object,
    ) -> str:
        """Return a token that is good, but for what is asked for; a claim that is None is left out."""
        now = int(time.time())
        known = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + _TOKEN_S}
        said = {"scope": " ".join(scopes or ("bank:read",))} | known | claims
        # Not by `jwt.encode`, which refuses to write some of what has to be refused here.
        return jwt.PyJWS().encode(
            json.dumps({name: value for name, value in said.items() if value is not None}).encode(),
            key or self.keys[key_id or "es"],
            algorithm,
            headers=({} if key_id is None else {"kid": key_id}) | dict(headers or {}),
        )


def segment(value: object) -> str:
    """Return a part of a token: JSON in base64url."""
    text = value if isinstance(value, bytes) else orjson.dumps(value)
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Return a token's header, claims, and signature as it is written."""
    header, claims, signature = token.split(".")
    return _decoded(header), _decoded(claims), signature


def _decoded(text: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(base64.urlsafe_b64decode(text + "=="))
    return found
