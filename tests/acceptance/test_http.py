"""The query API as anybody finds it: beside `passbook up`, and as a process of its own."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from passbook.embedded.ports import LOOPBACK, free_port
from tests.support.program import Program
from tests.support.until import until
from tests.support.world import World

pytestmark = pytest.mark.timeout(240)

QUERY_API = "query-api"
ADA: dict[str, Any] = {"owner_name": "Ada", "initial_deposit": "500"}


@pytest.fixture
async def http(running_passbook: Program) -> AsyncIterator[httpx.AsyncClient]:
    endpoints = (await running_passbook("status", "--json")).document["endpoints"]
    async with httpx.AsyncClient(
        base_url=endpoints["http_url"], timeout=30, trust_env=False
    ) as client:
        yield client


async def test_http_and_the_command_line_tell_the_same(
    http: httpx.AsyncClient, running_passbook: Program
) -> None:
    passbook = running_passbook
    opening = await http.post("/v1/accounts", json=ADA)
    account = opening.headers["location"]
    account_id = opening.json()["account_id"]
    paid = await http.post(f"{account}/deposits", json={"amount": "150.00"})
    assert (opening.status_code, paid.status_code) == (201, 200)

    shown = await http.get(f"{account}?min_version=2")

    assert shown.json()["balance"] == "650.00"
    assert shown.json() == (await passbook("account", "show", account_id, "--json")).document
    history = (await passbook("account", "history", account_id, "--json")).document
    assert (await http.get(f"{account}/events")).json()["events"] == history
    trail = await passbook("audit", "show", account_id, "--json")
    assert (await http.get(f"{account}/audit")).json()["entries"] == trail.document
    refused = await http.post(f"{account}/withdrawals", json={"amount": "651"})
    by_hand = await passbook("account", "withdraw", account_id, "651", "--json")
    error = by_hand.document["error"]
    assert (refused.json()["code"], refused.json()["detail"]) == (error["code"], error["message"])
    lags = (await passbook("projection", "list", "--json")).document
    assert [lag["name"] for lag in (await http.get("/v1/projections")).json()] == [
        lag["name"] for lag in lags
    ]


async def test_the_document_is_there_and_names_every_route(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    for path in ("/v1/accounts", "/v1/accounts/{account_id}/deposits", "/v1/events"):
        assert path in document["paths"]


async def test_without_tokens_it_listens_on_this_machine_only(world: World) -> None:
    """Seen to fail: without the check it listened on all addresses, for everybody."""
    everywhere = "0.0.0.0"  # noqa: S104 - which is what is refused
    process = world.start(QUERY_API, PASSBOOK_HTTP_HOST=everywhere, PASSBOOK_HTTP_PORT="0")

    assert await process.ended(10) == 78

    (refused,) = process.logged("service.refused")
    assert "PASSBOOK_JWT_JWKS" in refused["error"]
    assert not process.logged("http.listening")


async def test_it_stops_in_order_while_a_command_is_waited_for(world: World) -> None:
    port = free_port()
    process = world.start(QUERY_API, PASSBOOK_HTTP_PORT=str(port))
    await process.ready()
    assert [entry["port"] for entry in process.logged("http.listening")] == [port]
    assert process.logged("http.without_tokens")
    async with httpx.AsyncClient(
        base_url=f"http://{LOOPBACK}:{port}", timeout=30, trust_env=False
    ) as client:
        waiting = asyncio.create_task(client.post("/v1/accounts?wait=20", json=ADA))

        async def begun() -> bool:
            return await process.metric("passbook_http_in_progress") == 1

        await until(begun)
        code, seconds = await process.terminate()
        answer = await waiting
    assert (code, answer.status_code) == (0, 202)
    assert seconds < 5


async def test_it_answers_before_the_servers_do_and_counts_what_it_answers(world: World) -> None:
    port = free_port()
    nowhere = f"postgresql://nobody@{LOOPBACK}:{free_port()}/none"
    process = world.start(QUERY_API, dsn=nowhere, PASSBOOK_HTTP_PORT=str(port))
    async with httpx.AsyncClient(
        base_url=f"http://{LOOPBACK}:{port}", timeout=30, trust_env=False
    ) as client:

        async def answers() -> bool:
            try:
                return (await client.get(f"/v1/accounts/{uuid4()}")).status_code == 503
            except httpx.ConnectError:
                return False

        await until(answers)
    page = (await process.get("/metrics")).body
    labels = 'method="GET",route="/v1/accounts/{account_id}",status="5xx"'
    assert f"passbook_http_requests_total{{{labels}}} 1.0" in page
    assert (await process.get("/readyz")).status == 503
    assert (await process.terminate())[0] == 0
