"""One command, followed through the real processes to a collector; and a collector that is away."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from typing import Final
from uuid import uuid4

import httpx
import pytest

from passbook.client import PassbookClient
from passbook.embedded.ports import LOOPBACK, free_port
from tests.support.collector import Collector, Received, collecting
from tests.support.until import until
from tests.support.world import AUDIT, BALANCES, COMMAND_SERVICE, RELAY, SERVICES, World

QUERY_API: Final = "query-api"
TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER: Final = "00f067aa0ba902b7"
OWNER: Final = "Zaphod Beeblebrox"
AMOUNT: Final = "4711.42"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
async def http(world: World, collector: Collector) -> AsyncIterator[httpx.AsyncClient]:
    """Have every service run, traced; give a client of the query API."""
    port = str(free_port())
    traced = collector.environment
    started = [world.start(name, **traced) for name in SERVICES]
    started.append(world.start(QUERY_API, PASSBOOK_HTTP_PORT=port, **traced))
    for process in started:
        await process.ready()
    url = f"http://{LOOPBACK}:{port}"
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        yield client


def _only(spans: list[Received], service: str, name: str) -> Received:
    (found,) = [span for span in spans if (span.service, span.name) == (service, name)]
    return found


def _kafka(operation: str, topic: str) -> dict[str, str]:
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
    }


async def test_one_trace_shows_one_command_over_all_hops(
    world: World, http: httpx.AsyncClient, collector: Collector
) -> None:
    """Seen to fail: when the relay does not trace, and when the query API passes the caller's context
    on instead of that of its own span.
    """
    key = str(uuid4())
    answer = await http.post(
        "/v1/accounts",
        json={"owner_name": OWNER, "initial_deposit": AMOUNT},
        headers={"traceparent": f"00-{TRACE}-{CALLER}-01", "Idempotency-Key": key},
    )
    assert answer.status_code == 201
    account_id, (event_id,) = answer.json()["account_id"], answer.json()["events"]
    # The links of the batches lead to the command's context, from other traces.
    await until(lambda: len(collector.trace(TRACE)) >= 7 and len(collector.spans) >= 12, 20)

    spans = collector.trace(TRACE)
    assert len(spans) == 7
    commands, events = world.topics.commands, world.topics.events
    asked = _only(spans, QUERY_API, "POST /v1/accounts")
    sent = _only(spans, QUERY_API, f"send {commands}")
    decided = _only(spans, COMMAND_SERVICE, f"process {commands}")
    appended = _only(spans, COMMAND_SERVICE, "eventstore.append")
    relayed = _only(spans, RELAY, f"send {events}")
    balanced = _only(spans, BALANCES, f"process {events}")
    audited = _only(spans, AUDIT, f"process {events}")

    assert [span.kind for span in (asked, sent, appended, relayed)] == [
        "SERVER",
        "PRODUCER",
        "CLIENT",
        "CLIENT",
    ]
    assert {span.kind for span in (decided, balanced, audited)} == {"CONSUMER"}
    assert (asked.parent, sent.parent) == (CALLER, asked.span_id)
    assert {span.parent for span in (decided, relayed, balanced, audited)} == {sent.span_id}
    assert appended.parent == decided.span_id
    assert not any(span.failed for span in spans)
    assert asked.attributes["http.response.status_code"] == 201
    assert sent.attributes == {
        **_kafka("send", commands),
        "messaging.destination.partition.id": decided.attributes[
            "messaging.destination.partition.id"
        ],
        "messaging.message.id": key,
        "messaging.kafka.message.key": account_id,
        "cloudevents.event_type": "bank.OpenAccount",
    }
    assert decided.attributes == {
        **sent.attributes,
        **_kafka("process", commands),
        "messaging.consumer.group.name": f"{world.topics.prefix}command-service",
        "messaging.kafka.offset": 0,
        "passbook.outcome": "accepted",
        "passbook.account.version": 1,
    }
    assert appended.attributes["db.system.name"] == "postgresql"
    of_event = {
        "messaging.message.id": event_id,
        "messaging.kafka.message.key": account_id,
        "cloudevents.event_type": "bank.AccountOpened",
        "passbook.command.id": key,
        "passbook.slot": relayed.attributes["passbook.slot"],
        "passbook.slot_seq": 1,
    }
    assert relayed.attributes == {**_kafka("send", events), **of_event}
    for span, name in ((balanced, BALANCES), (audited, AUDIT)):
        assert span.attributes == {
            **_kafka("process", events),
            **of_event,
            "messaging.consumer.group.name": f"{world.topics.prefix}{name}",
            "messaging.destination.partition.id": span.attributes[
                "messaging.destination.partition.id"
            ],
            "messaging.kafka.offset": 0,
        }
    for span in (decided, relayed, balanced, audited):
        (batch,) = [
            one
            for one in collector.spans
            if (one.service, one.name) == (span.service, span.name) and one.trace_id != TRACE
        ]
        assert (batch.parent, batch.links) == ("", [(TRACE, sent.span_id)])
        assert span.links == [(batch.trace_id, batch.span_id)]
        assert batch.attributes["messaging.batch.message_count"] == 1
    assert all(span.resource.keys() >= {"service.version", "service.instance.id"} for span in spans)
    told = b"".join(collector.texts)
    assert OWNER.encode() not in told
    assert AMOUNT.encode() not in told


async def test_rejections_are_no_errors_and_who_was_not_sampled_is_not_followed(
    http: httpx.AsyncClient, collector: Collector
) -> None:
    """The flags 00 of the first request hold in every service; what is no context is as none."""
    unseen = "1" * 32
    headers = {"traceparent": f"00-{unseen}-{CALLER}-00"}
    opened = await http.post(
        "/v1/accounts", json={"owner_name": OWNER, "initial_deposit": "100"}, headers=headers
    )
    account = opened.headers["location"]
    malformed = {"traceparent": f"00-{TRACE}-{'0' * 16}-01"}
    paid = await http.post(f"{account}/deposits", json={"amount": "1"}, headers=malformed)
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
    refused = await http.post(
        f"{account}/withdrawals?wait=9", json={"amount": AMOUNT}, headers=headers
    )
    assert [one.status_code for one in (opened, paid, refused)] == [201, 200, 422]

    await until(lambda: len(collector.trace(TRACE)) == 4, 20)
    spans = collector.trace(TRACE)
    assert not any(span.failed for span in spans)
    (decided,) = [span for span in spans if "passbook.outcome" in span.attributes]
    assert decided.attributes["passbook.outcome"] == "rejected"
    assert decided.attributes["passbook.error.code"] == "insufficient_funds"
    assert collector.trace(unseen) == []
    # What came with no usable context has begun a trace of its own.
    (deposit,) = [span for span in collector.spans if span.name.endswith("/deposits")]
    assert deposit.trace_id != TRACE
    assert deposit.parent == ""
    # What a caller writes into a query is not told.
    (withdrawal,) = [span for span in spans if span.kind == "SERVER"]
    assert withdrawal.attributes["url.query"] == "REDACTED"
    assert AMOUNT.encode() not in b"".join(collector.texts)


async def test_a_collector_that_is_away_neither_slows_nor_stops_nor_fills_the_log(
    world: World, collector: Collector
) -> None:
    """Nobody listens, it refuses, it never answers: services work, say so once, and stop in time.

    Seen to fail: when the queue is closed as OpenTelemetry closes it, services that wait for an answer
    take ten seconds to stop; with its own logging, the log has a sentence for every attempt.
    """
    collector.answering.clear()
    quickly = {"OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with collecting() as refusing:
        refusing.status = HTTPStatus.SERVICE_UNAVAILABLE
        nobody = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{free_port()}"}
        away = {
            COMMAND_SERVICE: collector.environment,
            RELAY: refusing.environment | quickly,
            BALANCES: collector.environment | nobody | quickly,
            AUDIT: collector.environment,
        }
        started = [world.start(name, **told) for name, told in away.items()]
        for process in started:
            await process.ready()
        account = uuid4()
        async with PassbookClient(world.kafka, world.topics) as bank:
            await bank.open_account(OWNER, "100", account_id=account, traceparent=_context(1))
            many = (
                bank.deposit(account, "1", traceparent=_context(number)) for number in range(2, 501)
            )
            await asyncio.gather(*many)
        await world.current(500, 30)
        for name in (RELAY, BALANCES):
            unsent = world.running(name)
            await until(lambda unsent=unsent: unsent.logged("traces.unsent"), 20)  # type: ignore[misc]
            assert await unsent.metric("passbook_trace_spans_dropped_total") > 0
        for process in started:
            assert await process.get("/readyz") == (200, "ok\n")
            code, seconds = await process.terminate()
            assert (process.name, code) == (process.name, 0)
            assert seconds < 7
            assert len(process.logged("traces.unsent")) <= 1
            lines = process.log.read_text("utf-8").splitlines()
            events = {json.loads(line)["event"] for line in lines}
            assert all(re.fullmatch(r"[a-z]+\.[a-z_]+", event) for event in events), events


def _context(number: int) -> str:
    return f"00-{number:032x}-{number:016x}-01"
