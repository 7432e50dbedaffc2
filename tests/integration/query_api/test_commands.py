"""Commands over HTTP: what is answered, and what has then happened."""

import asyncio
import time
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from passbook.eventstore.postgres import PostgresEventStore
from services.command_service.__main__ import session as command_session
from tests.support.databases import OpenPool
from tests.support.http import HOST, Served
from tests.support.ledger import Ledger, Part, running
from tests.support.until import until

ADA = {"owner_name": "Ada", "initial_deposit": "100"}


@pytest.fixture
async def store(pools: OpenPool) -> PostgresEventStore:
    return PostgresEventStore(await pools("passbook_reader"))


async def _opened(served: Served) -> str:
    answer = await served.client.post("/v1/accounts", json=ADA)
    assert answer.status_code == 201, answer.text
    account_id: str = answer.json()["account_id"]
    return account_id


def _problem(answer: httpx.Response) -> tuple[int, str]:
    document = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["status"] == answer.status_code
    assert document["type"] == f"urn:passbook:problem:{document['code']}"
    assert document["title"]
    assert document["detail"]
    return answer.status_code, document["code"]


@pytest.mark.usefixtures("deciding")
async def test_an_account_lives_over_http(served: Served, store: PostgresEventStore) -> None:
    key = str(uuid4())
    opening = await served.client.post(
        "/v1/accounts", json=ADA, headers={"Idempotency-Key": key, "X-Correlation-ID": "talk-7"}
    )
    assert opening.status_code == 201
    outcome = opening.json()
    account = opening.headers["location"]
    assert (outcome["command_id"], outcome["outcome"], outcome["version"]) == (key, "accepted", 1)
    assert account == f"/v1/accounts/{outcome['account_id']}"
    assert (opening.headers["etag"], opening.headers["idempotency-key"]) == ('"v1"', key)

    bodies: dict[str, Any] = {
        "deposits": {"amount": "20.50", "reference": "salary"},
        "withdrawals": {"amount": "0.5", "expected_version": 2},
        "freeze": {"reason": "court order"},
        "close": None,
    }
    for version, (verb, body) in enumerate(bodies.items(), start=2):
        answer = await served.client.post(f"{account}/{verb}", json=body)
        assert (answer.status_code, answer.json()["version"]) == (200, version)

    events = await store.history(UUID(outcome["account_id"]))
    assert [event.version for event in events] == [1, 2, 3, 4, 5]
    assert '"correlation_id": "talk-7"' in events[0].metadata
    assert '"actor"' not in events[0].metadata
    assert (await served.client.get(f"/v1/commands/{key}")).json() == outcome


@pytest.mark.usefixtures("deciding")
async def test_a_repeated_request_has_one_effect_and_one_answer(
    served: Served, store: PostgresEventStore
) -> None:
    """Also without an account id: seen to fail with a new one for every request."""
    key = {"Idempotency-Key": f'"{uuid4()}"'}
    first, second = [
        await served.client.post("/v1/accounts", json=ADA, headers=key) for _ in range(2)
    ]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert len(await store.streams(None, 10)) == 1

    other = await served.client.post("/v1/accounts", json=ADA | {"owner_name": "Eve"}, headers=key)
    assert _problem(other) == (409, "idempotency_conflict")
    assert len(await store.streams(None, 10)) == 1


@pytest.mark.usefixtures("deciding")
async def test_what_the_bank_refuses_is_a_problem_with_the_rule(served: Served) -> None:
    account = f"/v1/accounts/{await _opened(served)}"
    post = served.client.post

    poor = await post(f"{account}/withdrawals", json={"amount": "100.01"})
    assert _problem(poor) == (422, "insufficient_funds")
    assert poor.json()["version"] == 1
    assert (await served.client.get(f"/v1/commands/{poor.json()['command_id']}")).json()[
        "error"
    ] == {"code": "insufficient_funds", "message": poor.json()["detail"]}

    stale = {"If-Match": '"v7"'}
    assert _problem(await post(f"{account}/close", headers=stale)) == (412, "version_mismatch")
    assert _problem(await post(f"{account}/close", json={"expected_version": 7})) == (
        409,
        "version_mismatch",
    )
    nowhere = f"/v1/accounts/{uuid4()}/close"
    assert _problem(await post(nowhere)) == (404, "account_not_found")
    assert _problem(await post("/v1/accounts", json=ADA | {"initial_deposit": "99.99"})) == (
        422,
        "minimum_deposit",
    )
    assert (await post(f"{account}/close", headers={"If-Match": '"v1"'})).status_code == 200
    assert _problem(await post(f"{account}/close")) == (409, "account_closed")
    assert _problem(await post(f"{account}/deposits", json={"amount": "1"})) == (
        409,
        "account_not_active",
    )


async def test_what_cannot_be_understood_is_not_published(served: Served, ledger: Ledger) -> None:
    """Seen to fail: with a repeated field let in, with unknown ones let in, without the look at the
    media type (which is what keeps a page of another site from posting a form).
    """
    json = {"Content-Type": "application/json"}
    wrong: list[tuple[dict[str, str], bytes, int]] = [
        (json, b"", 400),
        (json, b"{", 400),
        (json, b"\xff", 400),
        (json, b"[]", 400),
        (json, b'{"amount":1}', 400),
        (json, b'{"amount":"1e3"}', 400),
        (json, b'{"amount":"\xd9\xa1"}', 400),
        (json, b'{"amount":"1","amount":"2"}', 400),
        (json, b'{"amount":"1","more":"2"}', 400),
        (json, b'{"amount":"1","reference":"\\ud800"}', 400),
        (json, b'{"amount":"1","expected_version":1.0}', 400),
        ({"Content-Type": "text/plain"}, b'{"amount":"1"}', 415),
        ({}, b'{"amount":"1"}', 415),
        (json | {"Idempotency-Key": "1"}, b'{"amount":"1"}', 400),
        (json | {"If-Match": '"v1", "v2"'}, b'{"amount":"1"}', 400),
        (json | {"If-Match": 'W/"v1"'}, b'{"amount":"1"}', 400),
        (json | {"If-Match": '"v1"'}, b'{"amount":"1","expected_version":2}', 400),
        (json | {"X-Correlation-ID": "x" * 201}, b'{"amount":"1"}', 400),
        (json, b'{"amount":"1","reference":"' + b"x" * 70_000 + b'"}', 413),
    ]
    path = f"/v1/accounts/{uuid4()}/deposits"
    for headers, body, status in wrong:
        answer = await served.client.post(path, content=body, headers=headers)
        assert _problem(answer)[0] == status, (headers, body)
    for query in ("wait=31", "wait=-1", "wait=nan", "wait=x", "wait=1&wait=2", "wiat=1"):
        answer = await served.client.post(f"{path}?{query}", json={"amount": "1"})
        assert _problem(answer) == (400, "malformed"), query
    assert _problem(await served.client.post("/v1/accounts/x/close")) == (400, "malformed")

    assert await ledger.lag("commands", "nobody") == 0


async def test_without_an_answer_in_time_it_is_under_way(served: Served, ledger: Ledger) -> None:
    started = time.monotonic()
    answer = await served.client.post("/v1/accounts?wait=0.3", json=ADA)
    assert time.monotonic() - started < 3
    assert answer.status_code == 202
    assert answer.json()["outcome"] is None
    where = answer.headers["location"]
    assert _problem(await served.client.get(where)) == (404, "command_not_found")

    async with running(ledger.command_service()):

        async def decided() -> bool:
            return (await served.client.get(where)).status_code == 200

        await until(decided)
        assert (await served.client.get(where)).json()["outcome"] == "accepted"
        at_once = await served.client.post("/v1/accounts?wait=0", json=ADA)
        assert at_once.status_code == 202
        assert at_once.headers["retry-after"] == "1"


async def test_who_waits_when_the_service_stops_is_told_at_once(served: Served) -> None:
    """Seen to fail: with a `Stopping.set` that ends no wait, the stop took the 5 s that requests have
    to end, and broke it off.
    """
    assert served.part is not None
    waiting = asyncio.create_task(served.client.post("/v1/accounts?wait=20", json=ADA))
    await until(lambda: _in_progress(served) == 1)
    started = time.monotonic()
    await served.part.stop()
    answer = await waiting
    assert time.monotonic() - started < 3
    assert answer.status_code == 202
    with pytest.raises(ConnectionError):
        await asyncio.open_connection(HOST, served.port)


async def test_who_goes_away_while_waiting_leaves_nothing_behind(served: Served) -> None:
    """Seen to fail: without the look for the client, its request stayed for 20 s."""
    _, writer = await asyncio.open_connection(HOST, served.port)
    body = b'{"owner_name":"Ada","initial_deposit":"100"}'
    writer.write(
        b"POST /v1/accounts?wait=20 HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    await until(lambda: _in_progress(served) == 1)
    writer.close()
    await writer.wait_closed()
    await until(lambda: _in_progress(served) == 0, 3)


async def test_an_outcome_comes_to_the_one_who_asked_also_after_a_restart(
    served: Served, ledger: Ledger
) -> None:
    settings = ledger.settings("passbook_command_service")
    for _ in range(2):
        part = Part(lambda stop, health: command_session(stop, health, settings))
        await part.ready()
        assert (await served.client.post("/v1/accounts", json=ADA)).status_code == 201
        await part.stop()


def _in_progress(served: Served) -> int:
    stack: Any = served.app.middleware_stack
    if stack is None:  # nobody has asked yet
        return 0
    while not hasattr(stack, "in_progress"):
        stack = stack.app
    number: int = stack.in_progress
    return number
