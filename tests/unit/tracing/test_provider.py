"""The way out: bounded, quiet, and ended in time, whatever the collector does."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from passbook.embedded.ports import LOOPBACK, free_port
from passbook.telemetry import TRACE_SPANS_DROPPED
from passbook.tracing.provider import Exporter, Heard, Queue, new_provider, provided, quieted
from tests.support.until import until

_CANARY: Final = "c4n4ry"
_HEADERS: Final = "OTEL_EXPORTER_OTLP_HEADERS"
_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Outside(SpanExporter):
    """A collector, as its exporter shows it."""

    def __init__(self) -> None:
        self.result = SpanExportResult.SUCCESS
        self.answering = threading.Event()
        self.answering.set()
        self.asked = 0
        self.got: list[ReadableSpan] = []
        self.why: tuple[object, object] = ("spans", ConnectionError(_CANARY))

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked += 1
        self.answering.wait(20)
        if self.result is SpanExportResult.SUCCESS:
            self.got += spans
        else:
            logging.getLogger("opentelemetry.exporter").error("%s: %s", *self.why)
        return self.result

    def shutdown(self) -> None:
        """Stay."""


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    outside = Outside()
    yield outside
    outside.answering.set()


@pytest.fixture
def talkative() -> Iterator[None]:
    """Have OpenTelemetry log again afterwards."""
    logger = logging.getLogger("opentelemetry")
    kept, propagates = logger.handlers, logger.propagate
    yield
    logger.handlers, logger.propagate = kept, propagates


def dropped(reason: str) -> float:
    value: float = TRACE_SPANS_DROPPED.labels(reason)._value.get()
    return value


def test_the_resource_says_which_service_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "everything")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    attributes = new_provider("outbox-relay", SpanProcessor()).resource.attributes
    assert attributes["service.name"] == "outbox-relay"
    assert attributes["service.version"]
    assert attributes["deployment.environment.name"] == "test"
    assert UUID(str(attributes["service.instance.id"]))
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=pod-7")
    attributes = new_provider("outbox-relay", SpanProcessor()).resource.attributes
    assert attributes["service.instance.id"] == "pod-7"


async def test_what_ends_is_sent_at_the_latest_when_the_service_stops(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    queue = Queue(Exporter(outside, Heard()), 100)
    tracer = new_provider("a-service", queue).get_tracer("test")
    for _ in range(3):
        tracer.start_span("one").end()
    assert outside.got == []
    queue.close(5)
    assert [span.name for span in outside.got] == ["one"] * 3


async def test_a_collector_that_does_not_answer_costs_spans_and_nothing_else(
    outside: Outside,
) -> None:
    """Ending a span never waits; what does not fit is counted; the end has a limit of time.

    Seen to fail: without the look at what waits, the queue lets go of old spans, uncounted, with a
    warning; closed by OpenTelemetry itself, it takes 30 s.
    """
    outside.answering.clear()
    before = dropped("queue")
    queue = Queue(Exporter(outside, Heard()), 100)
    tracer = new_provider("a-service", queue).get_tracer("test")
    tracer.start_span("first").end()
    await until(lambda: outside.asked)
    began = time.monotonic()
    for _ in range(1000):
        tracer.start_span("more").end()
    assert time.monotonic() - began < 2
    assert dropped("queue") - before == 901
    began = time.monotonic()
    queue.close(0.2)
    assert time.monotonic() - began < 2


@pytest.mark.usefixtures("talkative")
async def test_the_log_says_once_that_spans_are_not_sent_and_once_that_they_are(
    outside: Outside, capsys: pytest.CaptureFixture[str]
) -> None:
    outside.result = SpanExportResult.FAILURE
    before = dropped("unsent")
    exporter = Exporter(outside, quieted())
    queue = Queue(exporter, 100)
    tracer = new_provider("a-service", queue).get_tracer("test")
    with structlog.testing.capture_logs() as logged:
        for attempt in range(1, 4):
            tracer.start_span("lost").end()
            await until(lambda attempt=attempt: exporter.handed == attempt)  # type: ignore[misc]
        outside.result = SpanExportResult.SUCCESS
        tracer.start_span("sent").end()
        await until(lambda: exporter.handed == 4)
        queue.close(5)
    assert [entry["event"] for entry in logged] == ["traces.unsent", "traces.sent"]
    assert logged[0]["error"] == "ConnectionError"
    assert dropped("unsent") - before == 3
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


async def test_the_query_of_a_url_is_not_told(outside: Outside) -> None:
    queue = Queue(Exporter(outside, Heard()), 100)
    tracer = new_provider("a-service", queue).get_tracer("test")
    tracer.start_span("GET", attributes={"url.query": "owner=Zaphod", "url.path": "/"}).end()
    queue.close(5)
    assert dict(outside.got[0].attributes or {}) == {"url.query": "REDACTED", "url.path": "/"}


@pytest.mark.usefixtures("talkative")
@pytest.mark.parametrize(
    ("why", "told"),
    [
        ((401, "Unauthorized"), "401, Unauthorized"),
        ((None, TimeoutError(_CANARY)), "TimeoutError"),
        ((503, f"no such user: {_CANARY}"), "503"),
        (("spans", 70_000_000), "unknown"),
    ],
)
def test_why_spans_are_not_sent_is_told_without_any_text(
    outside: Outside, why: tuple[object, object], told: str
) -> None:
    outside.result, outside.why = SpanExportResult.FAILURE, why
    exporter = Exporter(outside, quieted())
    with structlog.testing.capture_logs() as logged:
        exporter.export([])
    assert [entry["error"] for entry in logged] == [told]


@pytest.mark.usefixtures("talkative")
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        (_HEADERS, f"Authorization Bearer {_CANARY}"),
        (_ENDPOINT, f"http://somebody:{_CANARY}/x@collector.invalid:4318"),
        (_ENDPOINT, f"htp://somebody:{_CANARY}@collector.invalid:4318"),
        (_ENDPOINT, f"somebody:{_CANARY}@collector.invalid:4318"),
    ],
)
async def test_what_the_collector_is_told_nobody_else_is(
    variable: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Seen to fail: the headers when OpenTelemetry was silenced after its exporter was made, the URLs
    with the text of the error in the log.
    """
    providers: list[TracerProvider] = []
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv(_ENDPOINT, f"http://{LOOPBACK}:{free_port()}")
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr("passbook.tracing.provider.set_tracer_provider", providers.append)
    with structlog.testing.capture_logs() as logged:
        with provided("a-service"):
            providers[0].get_tracer("test").start_span("lost").end()
        await until(lambda: [entry for entry in logged if entry["event"] == "traces.unsent"])
    ignored = [entry["reason"] for entry in logged if entry["event"] == "traces.setting_ignored"]
    assert len(ignored) == (variable == _HEADERS)
    assert _CANARY not in f"{logged}{caplog.text}"
