"""The trace of whoever sends a command goes on with it, where there is one.

OpenTelemetry is neither needed nor imported: a program that has a current span has imported its API
itself, and only the API is used. The span that sends a command is the context that the command carries,
and everything that follows from the command is below it. A `traceparent` that the caller gives is the
caller's business: it is passed on as it is.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from uuid import UUID

from passbook.client.bank import Context
from passbook.domain.commands import Command

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_API: Final = "opentelemetry.trace"


def followed(
    context: Context, topic: str, partition: int, command: Command, command_id: UUID
) -> tuple[Context, "Span | None"]:
    """Return what is to be sent with a command, and the span that sends it; None outside of a trace."""
    api = sys.modules.get(_API)
    if api is None or "traceparent" in context:
        return context, None
    if not api.get_current_span().get_span_context().is_valid:
        return context, None
    span: Span = api.get_tracer("passbook.client").start_span(
        f"send {topic}",
        kind=api.SpanKind.PRODUCER,
        attributes={
            "messaging.system": "kafka",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": topic,
            "messaging.destination.partition.id": str(partition),
            "messaging.kafka.message.key": str(command.account_id),
            "messaging.message.id": str(command_id),
            "cloudevents.event_type": f"bank.{type(command).__name__}",
        },
    )
    own = span.get_span_context()
    flags = own.trace_flags & 1  # of the others nobody here knows what they say of a child
    traceparent = f"00-{own.trace_id:032x}-{own.span_id:016x}-{flags:02x}"
    return {**context, "traceparent": traceparent}, span


@contextmanager
def sending(span: "Span | None") -> Iterator[None]:
    """End the span when Kafka has the command, or when that is unknown."""
    try:
        yield
    except BaseException as error:
        if span is not None:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(sys.modules[_API].StatusCode.ERROR)
            span.end()
        raise
    if span is not None:
        span.end()
