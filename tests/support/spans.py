"""Spans as they are made, kept in the test's own process; contexts to make them from."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from passbook.tracing.provider import new_provider


@dataclass(frozen=True)
class Recording:
    """A tracer as services have it, and what has come of it."""

    tracer: Tracer
    _memory: InMemorySpanExporter = field(repr=False)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """The spans that have ended, in this order."""
        return self._memory.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        """Those with a name."""
        return [span for span in self.spans if span.name == name]

    def below(self, traceparent: str) -> list[ReadableSpan]:
        """Those directly below a context."""
        parent = int(traceparent.split("-")[2], 16)
        return [span for span in self.spans if span.parent and span.parent.span_id == parent]


def recording() -> Recording:
    """Return one that has seen nothing."""
    memory = InMemorySpanExporter()
    provider = new_provider("a-service", SimpleSpanProcessor(memory))
    return Recording(provider.get_tracer("passbook"), memory)


def traceparent(flags: str = "01", *, low: int | None = None) -> str:
    """Return the context of a trace that nobody else has; `low`: the part that samplers look at."""
    low = random.getrandbits(64) if low is None else low
    return (
        f"00-{random.getrandbits(63) + 1:016x}{low:016x}-{random.getrandbits(63) + 1:016x}-{flags}"
    )
