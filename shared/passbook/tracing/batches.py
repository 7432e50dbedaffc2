"""The spans of a batch: one of the batch, and one of every message in it that is followed.

Imported only where traces are on.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Generic, Self, TypeVar

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    get_tracer,
    set_span_in_context,
)

from passbook.telemetry import TRACE_SPANS_DROPPED
from passbook.tracing.following import Choice

Attributes = Mapping[str, str | int]
Thing = TypeVar("Thing")

_NO_PARENT: Final = Context()


@dataclass(frozen=True, slots=True)
class Hop:
    """What is done with the messages of a batch, as the conventions name it."""

    name: str
    kind: SpanKind
    attributes: Attributes

    @classmethod
    def process(cls, topic: str, group: str) -> Self:
        """Messages of a topic are worked on."""
        told = {**_kafka("process", topic), "messaging.consumer.group.name": group}
        return cls(f"process {topic}", SpanKind.CONSUMER, told)

    @classmethod
    def send(cls, topic: str) -> Self:
        """Messages are published whose context is another's: that makes it no PRODUCER."""
        return cls(f"send {topic}", SpanKind.CLIENT, _kafka("send", topic))


def _kafka(operation: str, topic: str) -> dict[str, str]:
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
    }


class BatchTraces(Generic[Thing]):
    """Follows messages through the batches of one service."""

    def __init__(
        self,
        hop: Hop,
        context_of: Callable[[Thing], str | None],
        describe: Callable[[Thing], Attributes],
        tracer: Tracer | None = None,
    ) -> None:
        """`context_of` gives the `traceparent` of a message that is sampled; `describe` what is said
        about it, and is asked only of those that are followed.
        """
        self._hop = hop
        self._context_of = context_of
        self._describe = describe
        self._tracer = tracer or get_tracer("passbook")
        self._choice = Choice()

    def begin(
        self, things: Sequence[Thing], began_ns: int | None = None
    ) -> "BatchTrace[Thing] | None":
        """Start the spans of a batch, at `began_ns` since 1970 or now; None when nothing in it is
        followed.
        """
        context_of = self._context_of
        found = [(sampled, thing) for thing in things if (sampled := context_of(thing))]
        if not found:
            return None
        followed = [(_remote(parent), thing) for parent, thing in self._choice.of(found)]
        if len(followed) < len(found):
            TRACE_SPANS_DROPPED.labels("limit").inc(len(found) - len(followed))
        if not followed:
            return None
        hop = self._hop
        began_ns = began_ns or time.time_ns()
        batch = self._tracer.start_span(
            hop.name,
            _NO_PARENT,
            hop.kind,
            {
                **hop.attributes,
                "messaging.batch.message_count": len(things),
                "passbook.batch.sampled": len(found),
                "passbook.batch.not_followed": len(found) - len(followed),
            },
            [Link(context) for context, _ in followed],
            began_ns,
        )
        back = [Link(batch.get_span_context())] if batch.is_recording() else []
        spans = []
        for context, thing in followed:
            span = self._tracer.start_span(
                hop.name,
                set_span_in_context(NonRecordingSpan(context), _NO_PARENT),
                hop.kind,
                {**hop.attributes, **self._describe(thing)},
                back,
                began_ns,
            )
            if span.is_recording():
                spans.append((thing, span))
        return BatchTrace(self._tracer, batch, spans)


class BatchTrace(Generic[Thing]):
    """The spans of one batch, from its beginning to its end."""

    def __init__(self, tracer: Tracer, batch: Span, spans: list[tuple[Thing, Span]]) -> None:
        """Take the span of the batch and those of its messages."""
        self._tracer = tracer
        self._batch = batch
        self._spans = spans

    @contextmanager
    def step(
        self, name: str, attributes: Attributes, refusals: tuple[type[Exception], ...] = ()
    ) -> Iterator[None]:
        """Show what is done in the block for all of the batch in the trace of every message, too. One
        of `refusals` is an answer and no failure.
        """
        began_ns = time.time_ns()
        error: Exception | None = None
        try:
            yield
        except Exception as failure:
            error = failure
            raise
        finally:
            ended_ns = time.time_ns()
            for parent in (self._batch, *(span for _, span in self._spans)):
                span = self._tracer.start_span(
                    name,
                    set_span_in_context(parent, _NO_PARENT),
                    SpanKind.CLIENT,
                    attributes,
                    start_time=began_ns,
                )
                if isinstance(error, refusals):
                    span.set_attribute("passbook.refused", type(error).__name__)
                elif error is not None:
                    failed(span, error)
                span.end(ended_ns)

    def finish(self, result_of: Callable[[Thing], Attributes | None]) -> None:
        """End the spans of those messages that have a result, and with the last one the batch's."""
        ended_ns = time.time_ns()
        rest = []
        for thing, span in self._spans:
            result = result_of(thing)
            if result is None:
                rest.append((thing, span))
            else:
                span.set_attributes(result)
                span.end(ended_ns)
        self._spans = rest
        if not rest:
            self._batch.end(ended_ns)

    def end(self, error: Exception | None = None) -> None:
        """End all that have not ended; with an error, they have failed."""
        ended_ns = time.time_ns()
        for span in (*(span for _, span in self._spans), self._batch):
            if span.is_recording():
                if error is not None:
                    failed(span, error)
                span.end(ended_ns)
        self._spans = []


def failed(span: Span, error: BaseException) -> None:
    """Say that what the span is about has failed, and how. Texts of errors may quote what was sent."""
    span.set_attribute("error.type", type(error).__name__)
    span.set_status(StatusCode.ERROR)


def _remote(traceparent: str) -> SpanContext:
    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
