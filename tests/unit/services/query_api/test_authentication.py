"""From a request's headers to who has sent it, and to what is answered to whom it is not clear of."""

import time
from typing import Any, Final

import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request

from passbook.config import MissingSetting
from services.query_api.identity import authentication, tokens
from services.query_api.identity.authentication import Authenticator, authenticator
from services.query_api.identity.callers import (
    ADMIN,
    COMMAND,
    READ,
    SCOPES,
    Caller,
    admin,
    commander,
    reader,
    reader_or_commander,
)
from services.query_api.identity.keys import Keys
from services.query_api.problems import Problem
from tests.support.issuer import AUDIENCE, ISSUER, Issuer, private_key
from tests.unit.services.query_api.test_keys import PAUSE_S, REFRESH_S, Place

CHALLENGE: Final = 'Bearer realm="passbook"'


class Bank:
    """A service's part that tells who is asking, with its clocks and keys in the test's hands."""

    def __init__(self) -> None:
        self.issuer = Issuer()
        self.place = Place(self.issuer.jwks())
        self.ahead_s = 0.0
        self.keys: Keys = self.place.keys()
        self.authenticate = Authenticator(
            self.keys, ISSUER, AUDIENCE, lambda: time.time() + self.ahead_s
        )

    async def ask(self, *headers: str) -> Caller:
        """Return who sends these `Authorization` headers."""
        return await self.authenticate(headers)


@pytest.fixture
def bank() -> Bank:
    """Give one that has read no keys yet."""
    return Bank()


async def _refused(bank: Bank, *headers: str) -> tuple[str, str, dict[str, str]]:
    with pytest.raises(Problem) as found:
        await bank.ask(*headers)
    return found.value.code, str(found.value), dict(found.value.headers)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
async def test_the_scheme_is_read_in_any_case(bank: Bank, scheme: str) -> None:
    caller = await bank.ask(f"{scheme} {bank.issuer.token('ada', 'bank:read', 'openid')}")
    assert (caller.subject, set(caller.scopes)) == ("ada", {READ})
    assert caller.until == pytest.approx(time.time() + 600, abs=60)
    assert not caller.sees_all


async def test_admin_implies_the_others(bank: Bank) -> None:
    caller = await bank.ask(f"Bearer {bank.issuer.token('root', ADMIN)}")
    assert (caller.scopes, caller.sees_all) == (SCOPES, True)


@pytest.mark.parametrize(
    "headers", [(), ("",), ("Basic YWRhOmFkYQ==",), ("BearerX y",), ("Digest x",)]
)
async def test_who_has_not_tried_is_told_how_to(bank: Bank, headers: tuple[str, ...]) -> None:
    code, _, answer = await _refused(bank, *headers)
    assert (code, answer) == ("unauthorized", {"WWW-Authenticate": CHALLENGE})


async def test_of_two_headers_none_is_believed(bank: Bank) -> None:
    """Seen to fail: with the first one taken."""
    token = f"Bearer {bank.issuer.token()}"
    code, _, answer = await _refused(bank, token, token)
    assert (code, answer["WWW-Authenticate"]) == (
        "unauthorized",
        f'{CHALLENGE}, error="invalid_request"',
    )


@pytest.mark.parametrize("what", ["two", "nothing", "junk", "oversized", "expired"])
async def test_a_token_that_is_none_is_refused_and_not_repeated(bank: Bank, what: str) -> None:
    token = {
        "two": f"{bank.issuer.token()}, Bearer {bank.issuer.token()}",
        "nothing": "",
        "junk": "é" * 20,
        "oversized": bank.issuer.token(more="x" * 9000),
        "expired": bank.issuer.token(exp=1),
    }[what]
    with structlog.testing.capture_logs() as logs:
        code, detail, answer = await _refused(bank, f"Bearer {token}")
    assert (code, answer) == (
        "unauthorized",
        {"WWW-Authenticate": f'{CHALLENGE}, error="invalid_token"'},
    )
    told = detail + str(logs)
    assert not [part for part in token.split(".") if part and part in told]


async def test_a_token_is_checked_once_and_no_longer_than_it_is_good(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail: without the comparison with `until`, and with the one in `read_token` alone."""
    checked = []
    real = tokens.read_token

    def counted(*arguments: Any) -> Any:
        checked.append(arguments[0])
        return real(*arguments)

    monkeypatch.setattr(authentication, "read_token", counted)
    token = bank.issuer.token()
    for _ in range(5):
        assert (await bank.ask(f"Bearer {token}")).subject == "ada"
    assert checked == [token]
    bank.ahead_s = 601
    code, detail, _ = await _refused(bank, f"Bearer {token}")
    assert (code, "expired" in detail) == ("unauthorized", True)


async def test_one_token_is_never_taken_for_another(bank: Bank) -> None:
    each = {name: bank.issuer.token(name) for name in ("ada", "bob", "eve")}
    for _ in range(2):
        for name, token in each.items():
            assert (await bank.ask(f"Bearer {token}")).subject == name
    head, _, signature = each["ada"].rpartition(".")
    other = signature[:-2] + ("AA" if signature[-2:] != "AA" else "BA")
    assert (await _refused(bank, f"Bearer {head}.{other}"))[0] == "unauthorized"


async def test_as_many_tokens_are_remembered_as_there_is_room_for(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "MOST_REMEMBERED", 3)
    for number in range(10):
        await bank.ask(f"Bearer {bank.issuer.token(f'user {number}')}")
    assert len(bank.authenticate._remembered) == 3


async def test_a_token_of_a_key_that_was_removed_is_good_until_the_keys_are_read_again(
    bank: Bank,
) -> None:
    """Although it was checked and is remembered.

    Seen to fail: without the comparison of the keys in `_caller`.
    """
    new = private_key("ES256")
    bank.place.document = Issuer(bank.issuer.keys | {"new": new}).jwks()
    token = bank.issuer.token(key=new, key_id="new")
    assert await bank.ask(f"Bearer {token}")
    bank.place.document = bank.issuer.jwks()
    assert await bank.ask(f"Bearer {token}")
    bank.place.now += REFRESH_S
    assert (await _refused(bank, f"Bearer {token}"))[0] == "unauthorized"


async def test_a_token_of_a_new_key_is_good_at_once(bank: Bank) -> None:
    """Seen to fail: without the second reading in `_caller`."""
    await bank.ask(f"Bearer {bank.issuer.token()}")
    bank.place.now += PAUSE_S
    new = private_key("EdDSA")
    token = bank.issuer.token(algorithm="EdDSA", key=new, key_id="new")
    assert (await _refused(bank, f"Bearer {token}"))[0] == "unauthorized"
    bank.place.document = Issuer(bank.issuer.keys | {"new": new}).jwks()
    assert (await _refused(bank, f"Bearer {token}"))[0] == "unauthorized"  # it was just asked for
    bank.place.now += PAUSE_S
    assert (await bank.ask(f"Bearer {token}")).subject == "ada"


async def test_while_the_keys_are_away_it_is_not_the_callers_fault(bank: Bank) -> None:
    """Neither at the start nor later, for a key that is not known; known ones go on being good.

    Seen to fail: with `KeysUnavailable` taken for a refused token.
    """
    published, bank.place.document = bank.place.document, None
    known = f"Bearer {bank.issuer.token()}"
    unknown = f"Bearer {bank.issuer.token(key_id='new', key=private_key('ES256'))}"
    assert "away" in await bank.authenticate.trouble()
    code, _, headers = await _refused(bank, known)
    assert (code, headers) == ("not_ready", {"Retry-After": "5"})

    bank.place.document = published
    bank.place.now += PAUSE_S
    assert await bank.authenticate.trouble() == ""
    assert await bank.ask(known)

    bank.place.document = None
    bank.place.now += REFRESH_S
    assert "away" in await bank.authenticate.trouble()
    assert await bank.ask(known)
    assert (await _refused(bank, unknown))[0] == "not_ready"

    bank.place.document = published
    bank.place.now += PAUSE_S
    assert (await _refused(bank, unknown))[0] == "unauthorized"
    assert await bank.authenticate.trouble() == ""


async def test_the_keys_going_and_coming_is_written_down_once(bank: Bank) -> None:
    published, bank.place.document = bank.place.document, None
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            await bank.authenticate.trouble()
            bank.place.now += PAUSE_S
        bank.place.document = published
        for _ in range(5):
            await bank.authenticate.trouble()
            bank.place.now += REFRESH_S
    assert [line["event"] for line in logs] == ["jwks.unavailable", "jwks.read"]


async def test_no_usable_key_is_trouble(bank: Bank) -> None:
    bank.place.document = b'{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'
    assert "none that can be used" in await bank.authenticate.trouble()


def test_tokens_are_configured_whole_or_not_at_all() -> None:
    assert authenticator(None, None, None) is None
    assert authenticator("jwks.json", ISSUER, AUDIENCE) is not None
    for some in (
        ("jwks.json", None, None),
        ("jwks.json", ISSUER, None),
        (None, ISSUER, AUDIENCE),
        ("", ISSUER, AUDIENCE),
        ("", "", ""),
        ("jwks.json", "", AUDIENCE),
    ):
        with pytest.raises(MissingSetting, match="belong together"):
            authenticator(*some)


@pytest.mark.parametrize(
    ("dependency", "allowed"),
    [
        (reader, {READ, ADMIN}),
        (commander, {COMMAND, ADMIN}),
        (reader_or_commander, {READ, COMMAND, ADMIN}),
        (admin, {ADMIN}),
    ],
)
async def test_a_route_needs_its_scope(bank: Bank, dependency: Any, allowed: set[str]) -> None:
    for scope in (READ, COMMAND, ADMIN, "openid", ""):
        request = _request(bank.authenticate, f"Bearer {bank.issuer.token('ada', scope)}")
        if scope in allowed:
            assert (await dependency(request)).subject == "ada"
            continue
        with pytest.raises(Problem) as refused:
            await dependency(request)
        challenge = refused.value.headers["WWW-Authenticate"]
        needed = challenge.rpartition('scope="')[2].rstrip('"')
        assert refused.value.code == "forbidden"
        assert challenge == f'{CHALLENGE}, error="insufficient_scope", scope="{needed}"'
        assert needed in allowed
        assert needed in str(refused.value)


async def test_without_tokens_anybody_may_do_everything_and_is_nobody() -> None:
    for dependency in (reader, commander, reader_or_commander, admin):
        caller = await dependency(_request(None))
        assert (caller.subject, caller.sees_all) == (None, True)


@pytest.mark.parametrize("subject", ["", None])
def test_nobody_is_a_caller_only_where_anybody_is(subject: str | None) -> None:
    """What nobody owns would be theirs, or the list of accounts not be theirs alone."""
    with pytest.raises(ValueError, match="without a name"):
        Caller(subject, frozenset({READ, COMMAND}))


async def test_an_application_that_was_put_together_without_it_lets_nobody_in() -> None:
    """Seen to fail: with a default for what is not there."""
    request = Request({"type": "http", "app": Starlette(), "headers": []})
    with pytest.raises(AttributeError):
        await reader(request)


def _request(authenticate: Authenticator | None, header: str = "") -> Request:
    app = Starlette()
    app.state.authenticator = authenticate
    headers = [(b"authorization", header.encode("latin-1"))] if header else []
    return Request({"type": "http", "app": app, "headers": headers})
