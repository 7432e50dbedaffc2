"""A collector of traces as services see one: OTLP over HTTP, decoded, in the test's process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from passbook.embedded.ports import LOOPBACK

_QUICKLY: Final = {"OTEL_BSP_SCHEDULE_DELAY": "50"}


@dataclass(frozen=True, slots=True)
class Received:
    """A span as it arrived. Ids are in hexadecimal; `parent` is empty for a root; `links` are
    (trace id, span id).
    """

    service: str
    resource: dict[str, Any]
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent: str
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    failed: bool
    began_ns: int
    ended_ns: int


class Collector:
    """What has arrived, and how the collector behaves."""

    def __init__(self, port: int) -> None:
        """Listen on `port`."""
        self.port = port
        self.spans: list[Received] = []
        self.texts: list[bytes] = []
        """The requests, as they were sent."""
        self.status = HTTPStatus.OK
        self.answering = threading.Event()
        """Not set: requests are taken and never answered."""
        self.answering.set()

    @property
    def environment(self) -> dict[str, str]:
        """What a service is told, to send its spans here, and soon."""
        return {
            "PASSBOOK_TRACING": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{self.port}",
            **_QUICKLY,
        }

    def trace(self, trace_id: str) -> list[Received]:
        """Return the spans of one trace, as they began."""
        return sorted(
            (span for span in self.spans if span.trace_id == trace_id), key=lambda s: s.began_ns
        )

    def take(self, body: bytes) -> None:
        """Decode a request."""
        self.texts.append(body)
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _values(of_resource.resource.attributes)
            for of_scope in of_resource.scope_spans:
                self.spans += [_received(resource, span) for span in of_scope.spans]


@contextmanager
def collecting() -> Iterator[Collector]:
    """Listen on a free port for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.path == "/v1/traces"
            collector.answering.wait()
            if collector.status is HTTPStatus.OK:
                collector.take(body)
            self.send_response(collector.status)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Tests say what they have found."""

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        collector = Collector(server.server_port)
        listening = threading.Thread(target=server.serve_forever, args=(0.02,))
        listening.start()
        try:
            yield collector
        finally:
            collector.answering.set()
            server.shutdown()
            listening.join()


def _received(resource: dict[str, Any], span: Span) -> Received:
    return Received(
        service=resource["service.name"],
        resource=resource,
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        attributes=_values(span.attributes),
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        began_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
    )


def _values(attributes: "Any") -> dict[str, Any]:
    return {one.key: _value(one) for one in attributes}


def _value(one: KeyValue) -> Any:
    return getattr(one.value, one.value.WhichOneof("value") or "string_value")
