"""Tokens as the service meets them: altered, too old, somebody else's, and keys that are away."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import httpx
import pytest

from passbook.config import MissingSetting
from services.query_api.identity.callers import ADMIN, READ
from tests.integration.query_api.guarded import with_tokens
from tests.support.http import Served, serving
from tests.support.issuer import AUDIENCE, ISSUER, Issuer, parts, private_key, segment
from tests.support.ledger import Ledger
from tests.support.until import until

PATH: Final = "/v1/accounts"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    """Give an issuer with one key."""
    return Issuer()


@pytest.fixture
def jwks(issuer: Issuer, tmp_path: Path) -> Path:
    """Give the file that has its key."""
    file = tmp_path / "jwks.json"
    file.write_bytes(issuer.jwks())
    return file


@pytest.fixture
async def served(ledger: Ledger, jwks: Path) -> AsyncIterator[Served]:
    """Give a service with tokens."""
    async with serving(with_tokens(ledger.settings("passbook_query_api"), jwks)) as served:
        yield served


def _unsigned(issuer: Issuer) -> str:
    header, claims, _ = parts(issuer.token("root", ADMIN))
    return f"{segment(header | {'alg': 'none'})}.{segment(claims)}."


def _altered(issuer: Issuer) -> str:
    header, claims, signature = parts(issuer.token("ada"))
    return f"{segment(header)}.{segment(claims | {'scope': ADMIN})}.{signature}"


_REFUSED: Final[dict[str, Callable[[Issuer], str]]] = {
    "altered": _altered,
    "unsigned": _unsigned,
    "expired": lambda issuer: issuer.token(exp=int(time.time()) - 1),
    "not yet": lambda issuer: issuer.token(nbf=int(time.time()) + 3600),
    "of another audience": lambda issuer: issuer.token(aud="other"),
    "of another issuer": lambda issuer: issuer.token(iss="https://other.example"),
    "without a subject": lambda issuer: issuer.token(None),
    "of a key of nobody's": lambda issuer: issuer.token(key_id="x", key=private_key("ES256")),
    "of no token": lambda _: "x.y.z",
}


async def test_what_is_no_good_token_is_answered_401_and_nothing_of_it_is_repeated(
    served: Served, issuer: Issuer, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {"Authorization": f"Bearer {issuer.token('ada')}"}
    assert (await served.client.get(PATH, headers=good)).status_code == 200
    for name, make in _REFUSED.items():
        token = make(issuer)
        answer = await served.client.get(PATH, headers={"Authorization": f"Bearer {token}"})
        assert _told(answer) == (401, "unauthorized"), name
        challenge = answer.headers["WWW-Authenticate"]
        assert challenge == 'Bearer realm="passbook", error="invalid_token"', name
        written = answer.text + "".join(capsys.readouterr())
        assert not [part for part in token.split(".") if len(part) > 1 and part in written], name


async def test_two_headers_and_other_schemes_are_answered_401(
    served: Served, issuer: Issuer
) -> None:
    token = issuer.token("ada")
    twice = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    answer = await served.client.get(PATH, headers=twice)
    assert _told(answer) == (401, "unauthorized")
    assert "invalid_request" in answer.headers["WWW-Authenticate"]
    for header in ({}, {"Authorization": "Basic YWRhOmFkYQ=="}, {"X-Authorization": token}):
        answer = await served.client.get(PATH, headers=header)
        assert _told(answer) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="passbook"'
    in_the_address = await served.client.get(f"{PATH}?access_token={token}")
    assert in_the_address.status_code in (400, 401)
    head = await served.client.head(PATH)
    assert (head.status_code, head.content) == (401, b"")
    lower = await served.client.get(PATH, headers={"authorization": f"bearer {token}"})
    assert lower.status_code == 200


async def test_a_header_that_is_too_large_is_refused(served: Served, issuer: Issuer) -> None:
    token = issuer.token("ada", more="x" * 9_000)
    answer = await served.client.get(PATH, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code in (401, 431)
    answer = await served.client.get(PATH, headers={"Authorization": "Bearer " + "x" * 200_000})
    assert answer.status_code == 431


async def test_while_the_keys_are_away_the_service_says_so_and_mends_itself(
    ledger: Ledger, issuer: Issuer, jwks: Path
) -> None:
    """503, because it is not the caller's fault, and not ready, so that nobody is sent here.

    Seen to fail: without `trouble` in `watch`; with `KeysUnavailable` answered 401.
    """
    await asyncio.to_thread(jwks.unlink)
    header = {"Authorization": f"Bearer {issuer.token('ada')}"}
    settings = with_tokens(ledger.settings("passbook_query_api"), jwks)
    async with serving(settings, ready=False) as served:
        assert served.part is not None
        health = served.part.health
        await until(lambda: "the keys of the tokens" in health.reason)
        answer = await served.client.get(PATH, headers=header)
        assert _told(answer) == (503, "not_ready")
        assert int(answer.headers["Retry-After"]) > 0
        assert (await served.client.get(PATH)).status_code == 401

        await asyncio.to_thread(jwks.write_bytes, issuer.jwks())

        async def answered() -> bool:
            return (await served.client.get(PATH, headers=header)).status_code == 200

        await until(answered)
        await until(lambda: not health.reason)


async def test_a_key_that_is_taken_out_of_the_file_is_no_good_before_long(
    served: Served, issuer: Issuer, jwks: Path
) -> None:
    """Seen to fail: with remembered tokens not compared with the keys."""
    header = {"Authorization": f"Bearer {issuer.token('ada')}"}
    assert (await served.client.get(PATH, headers=header)).status_code == 200
    await asyncio.to_thread(jwks.write_bytes, Issuer().jwks())

    async def refused() -> bool:
        return (await served.client.get(PATH, headers=header)).status_code == 401

    await until(refused, 5)


async def test_a_stream_ends_with_its_token(served: Served, issuer: Issuer) -> None:
    """In order: the client may come again, from where it was, and say anew who it is.

    Seen to fail: without `_ending`.
    """
    header = {"Authorization": f"Bearer {issuer.token('ada', READ, exp=time.time() + 1)}"}
    async with asyncio.timeout(10), served.client.stream("GET", "/v1/events", headers=header) as it:
        assert it.status_code == 200
        text = "".join([line async for line in it.aiter_lines()])
    assert "retry: " in text
    assert "error" not in text
    assert (await served.client.get("/v1/events", headers=header)).status_code == 401


async def test_tokens_that_are_configured_by_halves_stop_the_service(ledger: Ledger) -> None:
    """Rather than that it listens without."""
    settings = ledger.settings("passbook_query_api")
    for half in ({"jwt_issuer": ISSUER}, {"jwt_audience": AUDIENCE}, {"jwt_jwks": "jwks.json"}):
        with pytest.raises(MissingSetting):
            async with serving(settings.model_copy(update=half)):
                raise AssertionError


def _told(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]
