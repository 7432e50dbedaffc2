"""An event as a subscriber gets it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from passbook.domain.events import AccountEvent
from passbook.messaging.consumer import Record
from passbook.messaging.events import PublishedEvent


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """Something that has happened, with its place in the ledger.

    `event` is the domain's event, read as the newest schema version; `event_type` and
    `schema_version` say how it was stored. `slot_seq` counts the events of `slot` without a gap,
    `version` those of the account: a database of your own that keeps one of them next to what you
    write recognises a repetition. `command_id` caused it; `actor` and `correlation_id` are what the
    sender of that command said.
    """

    event: AccountEvent
    slot: int
    slot_seq: int
    account_id: UUID
    version: int
    event_type: str
    schema_version: int
    command_id: UUID | None
    correlation_id: str | None
    actor: str | None
    recorded_at: datetime
    partition: int
    offset: int
    _acknowledge: Callable[[], None] = field(repr=False, compare=False)

    async def ack(self) -> None:
        """Say that this event is done with: it is stored with the group's progress, together with
        others, within half a second, and when the subscription is closed or a partition changes
        hands. Until then a crash brings it again.

        Done twice, or when the partition belongs to somebody else meanwhile, it changes nothing.
        """
        self._acknowledge()


def received(
    published: PublishedEvent, record: Record, acknowledge: Callable[[], None]
) -> ReceivedEvent:
    """Return a published event as its subscriber gets it.

    Raises:
        UnknownEventType, UnknownSchemaVersion: this code is too old for it.
        ValueError, KeyError: it is none of this ledger's.
    """
    event = published.decode()
    return ReceivedEvent(
        event,
        published.slot,
        published.slot_seq,
        event.account_id,
        published.version,
        published.event_type,
        published.schema_version,
        UUID(published.command_id) if published.command_id else None,
        published.correlation_id or None,
        published.actor or None,
        datetime.fromisoformat(published.recorded_time),
        record.partition,
        record.offset,
        acknowledge,
    )
