"""Whether a batch is recorded: as the messages that it is about are.

A batch has no parent, so that a sampler that decides about roots by ratio would record one batch in a
hundred, whoever was in it. It is asked about the first message instead, which has the lowest trace id.
"""

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanKind,
    TraceState,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.util.types import Attributes


class AsTheMessages(Sampler):
    """The configured sampler, asked about the first link of a span that has no parent."""

    def __init__(self, configured: Sampler) -> None:
        """Ask `configured`."""
        self._configured = configured

    def should_sample(  # noqa: PLR0913 - OpenTelemetry's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Return what the configured sampler says."""
        if links and not get_current_span(parent_context).get_span_context().is_valid:
            first = links[0].context
            parent_context = set_span_in_context(NonRecordingSpan(first), Context())
            trace_id = first.trace_id
        return self._configured.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        """Return its name."""
        return f"AsTheMessages{{{self._configured.get_description()}}}"
