"""What one client may cost: bytes, time, and how much at once. Without any server behind."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from services.query_api.listening import connections, limits
from services.query_api.listening.connections import Connection
from tests.support.http import HOST, Served, serving
from tests.support.ledger import Ledger
from tests.support.until import until

POST = b"POST /v1/accounts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture
async def alone() -> AsyncIterator[Served]:
    """Give a service that has reached no server yet."""
    async with serving(None) as served:
        yield served


async def test_while_the_servers_are_away_it_says_so(alone: Served) -> None:
    answer = await alone.client.get("/v1/accounts")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert answer.headers["retry-after"] == "1"
    assert (await alone.client.get("/openapi.json")).status_code == 200


async def test_every_error_is_a_problem(alone: Served) -> None:
    for method, path, status, code in (
        ("GET", "/nothing", 404, "not_found"),
        ("HEAD", "/nothing", 404, None),
        ("PUT", "/v1/accounts", 405, "method_not_allowed"),
        ("OPTIONS", "/v1/accounts", 405, "method_not_allowed"),
    ):
        answer = await alone.client.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (
            status,
            "application/problem+json",
        )
        assert code is None or answer.json()["code"] == code
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
    assert (await alone.client.put("/v1/accounts")).headers["allow"]


async def test_what_is_no_http_is_refused_as_a_problem(alone: Served) -> None:
    for request in (b"hello\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"):
        answer = await alone.raw(request)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b'"code":"malformed"' in answer


async def test_a_bug_is_told_without_its_details(
    alone: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail: without the catch in `Limits`, the answer was the framework's text."""

    async def broken(*_: object) -> None:
        message = "the password is hunter2"
        raise RuntimeError(message)

    _replace(alone, broken, monkeypatch)

    answer = await alone.client.get("/v1/accounts")

    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "hunter2" not in answer.text


async def test_a_large_body_is_refused_announced_or_not(ledger: Ledger) -> None:
    """Seen to fail: without the count of what comes in, the chunked one was taken."""
    async with serving(ledger.settings("passbook_query_api")) as served:
        announced = await served.raw(POST + b"Content-Length: 70000\r\n\r\n")
        chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
        chunked = await served.raw(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 3)
    for answer in (announced, chunked):
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b'"code":"body_too_large"' in answer


async def test_large_headers_are_refused(alone: Served) -> None:
    """Seen to fail: without the check of an unfinished head, the second was read for ever."""
    large = b"X-Large: " + b"x" * connections.MOST_HEADER_BYTES
    for request in (
        b"GET / HTTP/1.1\r\n" + large + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + large,
        b"GET /" + b"x" * (connections.MOST_HEADER_BYTES + 1),
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 4000,
    ):
        answer = await alone.raw(request)
        assert answer.startswith(b"HTTP/1.1 431 "), request[:40]
        assert b'"code":"headers_too_large"' in answer


async def test_slow_requests_are_cut_short(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen to fail: without the timer, the first stayed for ever; without the limit of the body, the
    second until the request's.
    """
    monkeypatch.setattr(connections, "HEADERS_S", 0.3)
    monkeypatch.setattr(limits, "BODY_S", 0.3)
    async with serving(ledger.settings("passbook_query_api")) as served:
        head = await served.raw(b"GET / HTTP/1.1\r\nHost: loc")
        body = await served.raw(POST + b'Content-Length: 10\r\n\r\n{"a"')
        nothing = await served.raw(b"")
        second = await served.raw(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HT")
    for answer in (head, body):
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"request_timeout"' in answer
    assert nothing == b""
    assert second.startswith(b"HTTP/1.1 404 ")
    assert b"HTTP/1.1 408 " in second


async def test_too_much_at_once_is_refused_at_once(ledger: Ledger) -> None:
    """Seen to fail: with a limit that is never reached, nobody was refused."""
    async with serving(ledger.settings("passbook_query_api"), most_requests=2) as served:
        client = served.client
        opening = {"owner_name": "Ada", "initial_deposit": "100"}
        async with asyncio.TaskGroup() as group:
            waiting = [
                group.create_task(client.post("/v1/accounts?wait=3", json=opening))
                for _ in range(2)
            ]

            async def refused() -> bool:
                return (await client.get("/openapi.json")).status_code == 503

            await until(refused)
            started = time.monotonic()
            answers = [await client.get("/v1/accounts") for _ in range(20)]
            assert time.monotonic() - started < 1
            assert {answer.json()["code"] for answer in answers} == {"overloaded"}
            assert all(answer.headers["retry-after"] for answer in answers)
        assert {task.result().status_code for task in waiting} == {202}
        assert (await client.get("/v1/accounts")).status_code == 200


async def test_a_request_that_takes_too_long_is_given_up(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail: without the time-out, the answer was a 202 after 3 s."""
    monkeypatch.setattr(limits, "REQUEST_S", 0.3)
    opening = {"owner_name": "Ada", "initial_deposit": "100"}
    async with serving(ledger.settings("passbook_query_api")) as served:
        answer = await served.client.post("/v1/accounts?wait=3", json=opening)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_who_does_not_take_the_answer_is_broken_off(
    alone: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail: when the connection was only closed, it waited for the client, for minutes."""
    monkeypatch.setattr(limits, "REQUEST_S", 0.5)

    async def endless(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})

    _replace(alone, endless, monkeypatch)
    _, writer = await asyncio.open_connection(HOST, alone.port, limit=1024)
    writer.write(b"GET /v1/accounts HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await until(lambda: _connections(alone) == 1)
    await until(lambda: _connections(alone) == 0)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def test_connections_are_limited(alone: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 3)
    opened = [await asyncio.open_connection(HOST, alone.port) for _ in range(3)]
    await until(lambda: _connections(alone) == 3)
    refused = await alone.raw(b"")
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"overloaded" in refused
    for _, writer in opened:
        writer.close()
        await writer.wait_closed()
    await until(lambda: _connections(alone) == 0)
    assert (await alone.client.get("/nothing")).status_code == 404


async def test_without_tokens_other_sites_are_refused(alone: Served) -> None:
    """Seen to fail: without `refuse_strangers`, a page whose name resolves to 127.0.0.1 was answered."""
    for headers in (
        {"Host": "rebound.example"},
        {"Host": "127.0.0.1.example:80"},
        {"Origin": "https://site.example"},
        {"Origin": "null"},
    ):
        answer = await alone.client.get("/v1/accounts", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (421, "misdirected"), headers
    own = {"Host": f"localhost:{alone.port}", "Origin": f"http://[::1]:{alone.port}"}
    assert (await alone.client.get("/nothing", headers=own)).status_code == 404


async def test_a_connection_is_kept_for_the_next_request(alone: Served) -> None:
    async with httpx.AsyncClient(base_url=str(alone.client.base_url), trust_env=False) as client:
        for _ in range(3):
            await client.get("/nothing")
        assert _connections(alone) == 1


def _connections(served: Served) -> int:
    every = served.server._server.server_state.connections
    return len([one for one in every if isinstance(one, Connection)])


def _replace(served: Served, app: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put something else in the place of the routes."""
    stack: Any = served.app.build_middleware_stack()
    served.app.middleware_stack = stack
    while not isinstance(stack, limits.Limits):
        stack = stack.app
    monkeypatch.setattr(stack, "app", app)
