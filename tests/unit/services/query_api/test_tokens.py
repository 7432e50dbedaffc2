"""Only what the issuer has said to this service counts. Every refusal here was seen to fail with its
check taken out of `tokens` or `keys`; see the names in the docstrings.
"""

import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any, Final

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm

from services.query_api.identity.keys import key_set
from services.query_api.identity.tokens import (
    LEEWAY_S,
    LONGEST,
    TokenRefused,
    UnknownKey,
    read_token,
)
from tests.support.issuer import AUDIENCE, ISSUER, Issuer, jwk, parts, private_key, segment

ALL: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
_NOW: Final = int(time.time())


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    """Give an issuer with a key of every kind."""
    rsa_key = private_key("RS256")
    return Issuer(
        {
            "es": private_key("ES256"),
            **{
                name: rsa_key if name[1] == "S" and name[0] in "RP" else private_key(name)
                for name in ALL
            },
        }
    )


def read(issuer: Issuer, token: str, now: float | None = None) -> Any:
    """Return what a token says now."""
    when = time.time() if now is None else now
    return read_token(token, key_set(issuer.jwks()), ISSUER, AUDIENCE, when)


@pytest.mark.parametrize("algorithm", ALL)
def test_a_token_says_who_it_is_of_and_what_that_one_may_do(issuer: Issuer, algorithm: str) -> None:
    token = issuer.token("ada", "bank:read", "openid", algorithm=algorithm, key_id=algorithm)
    found = read(issuer, token)
    assert (found.subject, found.scopes) == ("ada", {"bank:read", "openid"})
    assert found.until == parts(token)[1]["exp"]


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "bank:read bank:command"}, {"bank:read", "bank:command"}),
        ({"scope": ["bank:read", "bank:command"]}, {"bank:read", "bank:command"}),
        ({"scope": None, "scp": ["bank:admin"]}, {"bank:admin"}),
        ({"scope": "a", "scp": "b c"}, {"a", "b", "c"}),
        ({"scope": None}, set()),
        ({"scope": 7, "scp": [7, None, {"bank:admin": 1}]}, set()),
        ({"scope": "bank:reader xbank:read bank:read,bank:admin"}, None),
    ],
)
def test_scopes_are_words_of_scope_and_scp(
    issuer: Issuer, claims: dict[str, Any], scopes: set[str] | None
) -> None:
    found = read(issuer, issuer.token("ada", **claims)).scopes
    assert found == scopes if scopes is not None else "bank:read" not in found


def test_the_audience_may_be_one_of_several(issuer: Issuer) -> None:
    assert read(issuer, issuer.token(aud=["other", AUDIENCE])).subject == "ada"


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": None}, "no exp"),
        ({"exp": _NOW - 1}, "expired"),
        ({"exp": str(_NOW + 600)}, "exp is no number"),
        ({"exp": True}, "exp is no number"),
        ({"nbf": _NOW + LEEWAY_S + 3600}, "nbf is in the future"),
        ({"nbf": "soon"}, "nbf is no number"),
        ({"iat": _NOW + LEEWAY_S + 3600}, "iat is in the future"),
        ({"iss": None}, "another issuer"),
        ({"iss": ISSUER + "/"}, "another issuer"),
        ({"iss": [ISSUER]}, "another issuer"),
        ({"aud": None}, "another audience"),
        ({"aud": "passbook2"}, "another audience"),
        ({"aud": ["other"]}, "another audience"),
        ({"aud": {AUDIENCE: 1}}, "another audience"),
        ({"sub": None}, "no sub"),
        ({"sub": ""}, "no sub"),
        ({"sub": 7}, "no sub"),
        ({"sub": "x" * 201}, "longer than 200"),
        ({"sub": "ada\n"}, "has a control"),
        ({"sub": "ada\x00"}, "has a control"),
        ({"sub": "Ade\u0300le"}, "normal form"),
    ],
)
def test_claims_that_are_missing_or_not_for_this_service_are_refused(
    issuer: Issuer, claims: dict[str, Any], why: str
) -> None:
    """Seen to fail: each with its line of `read_token`, `_number` or `_subject` taken out."""
    with pytest.raises(TokenRefused, match=why):
        read(issuer, issuer.token(**claims))


def test_a_token_ends_at_its_very_second_and_may_begin_a_little_later(issuer: Issuer) -> None:
    token = issuer.token(exp=_NOW + 100, nbf=_NOW, iat=_NOW)
    assert read(issuer, token, _NOW + 99.9)
    assert read(issuer, token, _NOW - LEEWAY_S)
    for moment in (_NOW + 100, _NOW - LEEWAY_S - 1):
        with pytest.raises(TokenRefused):
            read(issuer, token, moment)


def test_200_characters_of_any_language_are_a_subject(issuer: Issuer) -> None:
    assert read(issuer, issuer.token("名" * 200)).subject == "名" * 200


def _other_signature(issuer: Issuer) -> str:
    token = issuer.token()
    head, _, signature = token.rpartition(".")
    return f"{head}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


def _other_claims(issuer: Issuer) -> str:
    header, claims, signature = parts(issuer.token())
    return f"{segment(header)}.{segment(claims | {'sub': 'eve'})}.{signature}"


def _other_header(issuer: Issuer) -> str:
    header, claims, signature = parts(issuer.token())
    return f"{segment(header | {'typ': 'at+jwt'})}.{segment(claims)}.{signature}"


def _signature_of_another(issuer: Issuer) -> str:
    return issuer.token("eve").rpartition(".")[0] + "." + parts(issuer.token("ada"))[2]


def _no_algorithm(issuer: Issuer, name: str = "none") -> str:
    _, claims, _ = parts(issuer.token())
    return f"{segment({'alg': name, 'kid': 'es'})}.{segment(claims)}."


def _none_with_a_signature(issuer: Issuer) -> str:
    return _no_algorithm(issuer) + parts(issuer.token())[2]


def _strange_none(issuer: Issuer) -> str:
    return _no_algorithm(issuer, "nOnE")


def _signed_with_the_public_key(issuer: Issuer) -> str:
    """Return the classic: HMAC with what everybody knows."""
    _, claims, _ = parts(issuer.token())
    pem = (
        issuer.keys["RS256"]
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    signed = f"{segment({'alg': 'HS256', 'kid': 'RS256'})}.{segment(claims)}"
    return f"{signed}.{segment(hmac.digest(pem, signed.encode(), hashlib.sha256))}"


def _by_somebody_else(issuer: Issuer) -> str:
    return issuer.token(key=private_key("ES256"))


def _with_its_own_key(issuer: Issuer) -> str:
    key = private_key("ES256")
    return issuer.token(key=key, headers={"jwk": jwk(key, "es"), "jku": "http://127.0.0.1:1/"})


def _of_another_kind(issuer: Issuer) -> str:
    """Return a good signature whose key is said to be one of another type."""
    return issuer.token(algorithm="RS256", key_id="es", key=issuer.keys["RS256"])


def _curve_of_another_key(issuer: Issuer) -> str:
    return issuer.token(algorithm="ES384", key_id="ES256", key=issuer.keys["ES384"])


def _wrong_hash(issuer: Issuer) -> str:
    """Return an algorithm that PyJWT knows and this service does not."""
    key = ec.generate_private_key(ec.SECP256K1())
    return issuer.token(algorithm="ES256K", key=key)


def _critical(issuer: Issuer) -> str:
    return issuer.token(headers={"crit": ["exp"], "exp": 1})


def _encoded_as_always(issuer: Issuer) -> str:
    """Return a token with an extension that PyJWT understands, which changes nothing."""
    header, claims, _ = parts(issuer.token())
    signed = f"{segment(header | {'b64': True, 'crit': ['b64']})}.{segment(claims)}"
    key = issuer.keys["es"]
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return f"{signed}.{segment(ECAlgorithm(ECAlgorithm.SHA256).sign(signed.encode(), key))}"


def _unencoded(issuer: Issuer) -> str:
    header, _, signature = parts(issuer.token())
    return f"{segment(header | {'b64': False, 'crit': ['b64']})}..{signature}"


def _claims_no_object(issuer: Issuer) -> str:
    return _signed(issuer, b'["ada"]')


def _claims_no_json(issuer: Issuer) -> str:
    return _signed(issuer, b'{"exp": Infinity}')


def _signed(issuer: Issuer, payload: bytes) -> str:
    return jwt.PyJWS().encode(payload, issuer.keys["es"], "ES256", headers={"kid": "es"})


def _too_long(issuer: Issuer) -> str:
    return issuer.token(more="x" * LONGEST)


@pytest.mark.parametrize(
    "make",
    [
        _other_signature,
        _other_claims,
        _other_header,
        _signature_of_another,
        _no_algorithm,
        _none_with_a_signature,
        _strange_none,
        _signed_with_the_public_key,
        _by_somebody_else,
        _with_its_own_key,
        _of_another_kind,
        _curve_of_another_key,
        _wrong_hash,
        _critical,
        _encoded_as_always,
        _unencoded,
        _claims_no_object,
        _claims_no_json,
        _too_long,
    ],
)
def test_what_the_issuer_did_not_sign_that_way_is_refused(
    issuer: Issuer, make: Callable[[Issuer], str]
) -> None:
    """Seen to fail: with `verify_signature` off; of another kind and curve, with any key of the name
    taken; critical, without that line. For "none" and HS256 there are three nets, each of which holds
    alone: the list of algorithms, those of the key, and those that `_JWS` knows.
    """
    token = make(issuer)
    with pytest.raises(TokenRefused) as refused:
        read(issuer, token)
    assert not isinstance(refused.value, UnknownKey)
    assert all(part not in str(refused.value) for part in token.split(".") if part)


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "a.b.c", "a.b", "a.b.c.d", "é.b.c", "e30.e30.", "W10.e30.", "ada", "x" * 5000],
)
def test_what_is_no_token_is_refused(issuer: Issuer, text: str) -> None:
    with pytest.raises(TokenRefused):
        read(issuer, text)


def test_a_header_that_is_nested_deeply_is_refused(issuer: Issuer) -> None:
    with pytest.raises(TokenRefused):
        read(issuer, f"{segment(b'[' * 5000)}.e30.e30")


@pytest.mark.parametrize("kid", [7, ["es"], {"es": 1}, None, True])
def test_a_kid_that_is_no_text_is_refused(issuer: Issuer, kid: object) -> None:
    header, claims, signature = parts(issuer.token())
    with pytest.raises(TokenRefused):
        read(issuer, f"{segment(header | {'kid': kid})}.{segment(claims)}.{signature}")


def test_a_key_that_is_not_in_the_set_is_told_apart(issuer: Issuer) -> None:
    token = issuer.token(key_id="new", key=private_key("ES256"))
    with pytest.raises(UnknownKey):
        read(issuer, token)


def test_a_token_without_a_kid_is_of_the_only_key_and_of_none_of_several(issuer: Issuer) -> None:
    alone = Issuer()
    assert read(alone, alone.token(key_id=None)).subject == "ada"
    with pytest.raises(UnknownKey):
        read(issuer, issuer.token(key_id=None))


def test_of_two_keys_of_one_name_the_one_that_fits_is_taken(issuer: Issuer) -> None:
    """As RFC 7517 4.5 allows for keys of different types."""
    keys = key_set(
        orjson.dumps({"keys": [jwk(issuer.keys[name], "same") for name in ("RS256", "ES256")]})
    )
    for name in ("ES256", "RS256"):
        token = issuer.token(algorithm=name, key_id="same", key=issuer.keys[name])
        assert read_token(token, keys, ISSUER, AUDIENCE, time.time()).subject == "ada"


def test_a_key_that_is_for_one_algorithm_is_not_used_with_another(issuer: Issuer) -> None:
    """Seen to fail: with `alg` of a key not looked at."""
    key = issuer.keys["RS256"]
    keys = key_set(orjson.dumps({"keys": [jwk(key, "k", alg="PS256")]}))
    good = issuer.token(algorithm="PS256", key_id="k", key=key)
    assert read_token(good, keys, ISSUER, AUDIENCE, time.time()).subject == "ada"
    other = issuer.token(algorithm="RS256", key_id="k", key=key)
    with pytest.raises(TokenRefused, match="does not fit"):
        read_token(other, keys, ISSUER, AUDIENCE, time.time())


def _small_rsa() -> dict[str, Any]:
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - refused
    return jwk(small, "k")


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "kid": "k", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"},
        {"kty": "RSA", "kid": "k"},
        {"kty": "RSA", "kid": "k", "n": "AQAB", "e": 3},
        {"kty": "EC", "kid": "k", "crv": "P-256", "x": "AQAB", "y": "AQAB"},
        {"kty": "EC", "kid": "k", "crv": ["P-256"]},
        {"kty": ["EC"]},
        {"kid": "k"},
        "k",
        None,
        jwk(private_key("ES256"), "k", use="enc"),
        jwk(private_key("ES256"), "k", key_ops=["encrypt"]),
        jwk(private_key("ES256"), "k", key_ops=7),
        jwk(private_key("ES256"), "k", alg="ES384"),
        jwk(private_key("ES256"), "k", alg="HS256"),
        jwk(private_key("ES256"), "k") | {"kid": 7},
        _small_rsa(),
    ],
)
def test_keys_that_are_not_for_this_are_left_out(issuer: Issuer, entry: Any) -> None:
    keys = key_set(orjson.dumps({"keys": [entry, jwk(issuer.keys["es"], "es")]}))
    assert [key.key_id for key in keys.keys] == ["es"]
