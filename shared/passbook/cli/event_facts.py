"""Stored events for people: what they say, on one line."""

from rich.text import Text

from passbook.contracts.event_documents import newest_data
from passbook.eventstore.store import RecordedEvent


def facts(event: RecordedEvent) -> Text:
    """Return what an event says beyond its envelope, in the newest shape, on one line.

    Raises:
        UnknownEventType, UnknownSchemaVersion: this code is too old for it.
    """
    data = newest_data(event)
    said = {name: value for name, value in data.items() if name != "account_id" and value}
    return Text("  ".join(f"{name} {value}" for name, value in said.items()))
