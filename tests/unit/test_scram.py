"""A verifier lets the password in, and tells nothing of it."""

import base64
import hashlib
import hmac

import pytest

from passbook.scram import scram_verifier

# RFC 7677, section 3: user "user", password "pencil".
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
AUTH_MESSAGE = (
    b"n=user,r=rOprNGfwEbeRWgbNEkqO,"
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
)
CLIENT_PROOF = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
SERVER_SIGNATURE = base64.b64decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


def test_the_example_of_the_standard_is_let_in() -> None:
    """Seen to fail: with another key's name, hash or number of iterations."""
    mechanism, parameters, keys = scram_verifier("pencil", salt=SALT).split("$")
    stored_key, server_key = map(base64.b64decode, keys.split(":"))

    assert (mechanism, parameters) == ("SCRAM-SHA-256", "4096:W22ZaJ0SNY7soEsUEjb6gQ==")
    signature = hmac.digest(stored_key, AUTH_MESSAGE, "sha256")
    client_key = bytes(a ^ b for a, b in zip(CLIENT_PROOF, signature, strict=True))
    assert hashlib.sha256(client_key).digest() == stored_key
    assert hmac.digest(server_key, AUTH_MESSAGE, "sha256") == SERVER_SIGNATURE


def test_every_verifier_has_a_salt_of_its_own() -> None:
    assert scram_verifier("pencil") != scram_verifier("pencil")


@pytest.mark.parametrize("password", ["", "Straße"])
def test_what_clients_would_not_agree_about_is_refused_untold(password: str) -> None:
    with pytest.raises(ValueError, match="must be of ASCII characters, one at least") as refused:
        scram_verifier(password)
    assert not password or password not in str(refused.value)
