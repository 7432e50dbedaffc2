"""Stored events in the shape in which projections get them."""

import orjson

from passbook.eventstore.store import RecordedEvent
from passbook.messaging.cloudevents import format_time
from passbook.messaging.events import PublishedEvent


def from_recorded(event: RecordedEvent) -> PublishedEvent:
    """Return a stored event as it would have come from Kafka, to the byte."""
    context = orjson.loads(event.metadata)
    return PublishedEvent(
        event.slot,
        event.slot_seq,
        str(event.stream_id),
        event.version,
        event.event_type,
        event.schema_version,
        str(event.event_id),
        event.data.encode(),
        format_time(event.occurred_at),
        format_time(event.recorded_at),
        context.get("command_id", ""),
        context.get("correlation_id", ""),
        context.get("actor", ""),
    )
