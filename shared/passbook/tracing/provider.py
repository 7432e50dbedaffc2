"""Where the spans of this process go: a bounded queue, a thread, OTLP over HTTP.

Imported only where traces are on. A collector that is away costs the spans that do not fit, and nothing
else: they are counted, and the log says once that it is so, and once that it is over.

What OpenTelemetry would log quotes the headers and the URL of the collector, with the passwords in them;
of that only the kind of an error is told, and never its text.
"""

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from importlib.metadata import version
from typing import Final
from uuid import uuid4

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_BSP_MAX_QUEUE_SIZE
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import set_tracer_provider

from passbook.telemetry import TRACE_SPANS_DROPPED
from passbook.tracing.sampling import AsTheMessages

_FLUSH_S: Final = 1.5
"""What the last spans have to be sent, after the service has stopped."""
_MOST_WAITING: Final = 2048
_QUERY: Final = "url.query"
_UNKNOWN: Final = "unknown"
_STATUSES: Final = range(100, 600)
_PHRASES: Final = {status.phrase for status in HTTPStatus}

log = structlog.get_logger()


@contextmanager
def provided(service: str) -> Iterator[None]:
    """Make the spans of everything in this process those of `service`, and send them."""
    heard = quieted()
    queue = Queue(Exporter(OTLPSpanExporter(), heard), _most_waiting())
    set_tracer_provider(new_provider(service, queue))
    for complaint in heard.complaints:
        log.warning("traces.setting_ignored", reason=complaint)
    try:
        yield
    finally:
        queue.close(_FLUSH_S)


def new_provider(service: str, processor: SpanProcessor) -> TracerProvider:
    """Return a provider of tracers that hands spans to `processor`. The sampler, limits and further
    attributes of the resource are OpenTelemetry's variables.
    """
    ours = Resource({"service.name": service, "service.version": version("passbook")})
    instance = Resource({"service.instance.id": str(uuid4())})
    resource = instance.merge(Resource.create()).merge(ours)
    # At the exit it would wait for half a minute for a collector that does not answer.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.sampler = AsTheMessages(provider.sampler)
    provider.add_span_processor(processor)
    return provider


class Exporter(SpanExporter):
    """Sends spans, in the thread of the queue, and says when that begins to fail and when it works."""

    def __init__(self, exporter: SpanExporter, heard: "Heard") -> None:
        """Send with `exporter`; `heard` knows why that fails."""
        self._exporter = exporter
        self._heard = heard
        self._failing = False
        self.handed = 0
        """How many spans have left the queue."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch of spans; what cannot be sent is dropped."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self.handed += len(spans)
            self._tell(result, len(spans))
        return result

    def _tell(self, result: SpanExportResult, spans: int) -> None:
        failing = result is not SpanExportResult.SUCCESS
        if failing:
            TRACE_SPANS_DROPPED.labels("unsent").inc(spans)
        if failing and not self._failing:
            log.warning("traces.unsent", error=self._heard.error)
        elif self._failing and not failing:
            self._heard.error = _UNKNOWN
            log.info("traces.sent")
        self._failing = failing

    def shutdown(self) -> None:
        """Disconnect."""
        self._exporter.shutdown()


class Queue(SpanProcessor):
    """Keeps spans until they are sent; one that does not fit is dropped, and counted."""

    def __init__(self, exporter: Exporter, most_waiting: int) -> None:
        """Let up to `most_waiting` spans wait for `exporter`."""
        self._exporter = exporter
        self._most = most_waiting
        self._batches = BatchSpanProcessor(exporter)
        self._taken = 0

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002
        """Keep what a caller has written into the query of a URL to ourselves."""
        if span.attributes and _QUERY in span.attributes:
            span.set_attribute(_QUERY, "REDACTED")

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span, if there is room."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        # Each number is written by one thread only.
        if self._taken - self._exporter.handed >= self._most:
            TRACE_SPANS_DROPPED.labels("queue").inc()
            return
        self._taken += 1
        self._batches.on_end(span)

    def close(self, timeout_s: float) -> None:
        """Send what waits, within a bounded time, and leave the rest."""
        # It waits for half a minute for a collector that does not answer, and cannot be told not to.
        closing = threading.Thread(target=self._batches.shutdown, daemon=True, name="traces")
        closing.start()
        closing.join(timeout_s)


class Heard(logging.Handler):
    """Remembers what OpenTelemetry complained of, as far as there can be no secret in it."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.error = _UNKNOWN
        """The kind of the error that was last told of, or HTTP's code and word for it."""
        self.complaints: dict[str, None] = {}
        """What was said, each once, without what it was said about."""

    def emit(self, record: logging.LogRecord) -> None:
        """Remember a record, and log nothing."""
        self.complaints[record.msg if record.args else record.name] = None
        facts = record.args if isinstance(record.args, tuple) else ()
        raised = record.exc_info[1] if record.exc_info else None
        self.error = ", ".join(filter(None, map(_harmless, (*facts, raised)))) or self.error


def quieted() -> Heard:
    """Keep what OpenTelemetry logs: it says so at every attempt, and never what it means here."""
    heard = Heard()
    logger = logging.getLogger("opentelemetry")
    logger.propagate = False
    logger.handlers = [heard]
    return heard


def _harmless(fact: object) -> str:
    """Return what may be told of a fact; a text may be, if it is one of HTTP's own."""
    if isinstance(fact, BaseException):
        return type(fact).__name__
    if isinstance(fact, int):
        return str(fact) if fact in _STATUSES else ""
    return fact if isinstance(fact, str) and fact in _PHRASES else ""


def _most_waiting() -> int:
    """Return the size of the queue, which OpenTelemetry's own would overrun with a warning a span."""
    value = os.environ.get(OTEL_BSP_MAX_QUEUE_SIZE, "")
    return int(value) if value.isdecimal() else _MOST_WAITING
