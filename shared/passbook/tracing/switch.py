"""What services ask for whether they are traced or not: OpenTelemetry is imported here, when it is on."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from passbook.tracing.batches import Attributes, BatchTrace, BatchTraces

Mode = Literal["off", "otlp"]
Thing = TypeVar("Thing")


class TracingRefused(RuntimeError):
    """Traces were asked for and cannot be made; the message says what to do."""


def exporting(mode: Mode, service: str) -> AbstractContextManager[None]:
    """Have the spans of this process sent, for the length of the block and a bounded time after it.

    Raises:
        TracingRefused: the extra is not installed.
    """
    if mode == "off":
        return nullcontext()
    try:
        from passbook.tracing.provider import provided
    except ImportError as error:
        message = (
            f"PASSBOOK_TRACING is {mode}, but {error.name or error} is not installed: "
            "pip install 'passbook[otel]', or unset it"
        )
        raise TracingRefused(message) from error
    return provided(service)


def processing(
    mode: Mode,
    topic: str,
    group: str,
    context_of: Callable[[Thing], str | None],
    describe: Callable[[Thing], "Attributes"],
) -> "BatchTraces[Thing] | None":
    """Return what follows the messages that a member of `group` works on; None when nothing does."""
    if mode == "off":
        return None
    from passbook.tracing.batches import BatchTraces, Hop

    return BatchTraces(Hop.process(topic, group), context_of, describe)


def sending(
    mode: Mode,
    topic: str,
    context_of: Callable[[Thing], str | None],
    describe: Callable[[Thing], "Attributes"],
) -> "BatchTraces[Thing] | None":
    """Return what follows messages that are published as somebody else has made them; None when
    nothing does.
    """
    if mode == "off":
        return None
    from passbook.tracing.batches import BatchTraces, Hop

    return BatchTraces(Hop.send(topic), context_of, describe)


@contextmanager
def ending(trace: "BatchTrace[Thing] | None") -> Iterator[None]:
    """End the spans of a batch with the block, as failed when it fails."""
    try:
        yield
    except Exception as error:
        if trace is not None:
            trace.end(error)
        raise
    if trace is not None:
        trace.end()
