"""Stored events as Server-Sent Events: bytes that are made once and sent to many.

Source: WHATWG HTML, section 9.2, server-sent events.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Self
from uuid import UUID

import orjson

from passbook.contracts.event_documents import log_document
from passbook.domain.errors import UnknownEventType, UnknownSchemaVersion
from passbook.domain.slots import SLOT_COUNT
from passbook.eventstore.errors import LogIncomplete
from passbook.eventstore.store import RecordedEvent
from services.query_api.problems import Problem
from services.query_api.streaming.resume_tokens import token_of

HEARTBEAT: Final = b":\n\n"
"""A comment: it keeps whoever stands between from closing a quiet connection."""


class Frame(NamedTuple):
    """One event of the log. `text` is what is sent of it; when this code is too old to read the
    event, `unreadable` says so and there is no text.
    """

    account_id: UUID
    type: str
    text: bytes
    unreadable: str


class Framing:
    """Makes frames of events in the order in which they are offered; `positions` is how far that is,
    slot by slot.
    """

    def __init__(self, positions: Iterable[int]) -> None:
        """Start after these numbers."""
        self.positions = list(positions)
        self._parts = [f"{slot}:{n}" if n else "" for slot, n in enumerate(self.positions)]

    @classmethod
    def of_nothing(cls) -> Self:
        """Return the framing of the beginning of the log."""
        return cls([0] * SLOT_COUNT)

    @property
    def token(self) -> str:
        """The resume token of this moment."""
        return token_of(self.positions)

    @property
    def after(self) -> dict[int, int]:
        """Slot → number, as the store wants to be asked."""
        return dict(enumerate(self.positions))

    def frame(self, event: RecordedEvent) -> Frame:
        """Return the frame of the next event, whose id covers it.

        Raises:
            LogIncomplete: it is not the next one of its slot.
        """
        if event.slot_seq != self.positions[event.slot] + 1:
            message = (
                f"slot {event.slot}: {event.slot_seq} came after {self.positions[event.slot]}: "
                "see `passbook archive verify`"
            )
            raise LogIncomplete(message)
        self.positions[event.slot] = event.slot_seq
        self._parts[event.slot] = f"{event.slot}:{event.slot_seq}"
        name = f"bank.{event.event_type}"
        try:
            data = orjson.dumps(log_document(event))
        except (UnknownEventType, UnknownSchemaVersion) as error:
            return Frame(event.stream_id, name, b"", str(error))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            damaged = f"{event.slot}:{event.slot_seq} is damaged: {error!r}"
            return Frame(event.stream_id, name, b"", damaged)
        token = ",".join(filter(None, self._parts))
        text = b"id: %b\nevent: %b\ndata: %b\n\n" % (token.encode(), name.encode(), data)
        return Frame(event.stream_id, name, text, "")


@dataclass(frozen=True, slots=True)
class Selection:
    """What one client wants, and may see: None is everything. `owner` is whose accounts."""

    accounts: frozenset[UUID] | None = None
    types: frozenset[str] | None = None
    owner: str | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return self.accounts is None and self.types is None and self.owner is None

    def wants(self, frame: Frame, owners: Mapping[UUID, str]) -> bool:
        """Tell whether a frame belongs to it; `owners` says whose the account is."""
        if self.accounts is not None and frame.account_id not in self.accounts:
            return False
        if self.types is not None and frame.type not in self.types:
            return False
        return self.owner is None or owners.get(frame.account_id) == self.owner


def in_order(events: Iterable[RecordedEvent]) -> list[RecordedEvent]:
    """Return events about as they were recorded. Times never run backwards inside a slot, so this
    keeps each slot's order.
    """
    return sorted(events, key=lambda event: (event.recorded_at, event.slot))


def opening(token: str, retry_ms: int) -> bytes:
    """Return what a stream begins with: when to come back, and from where if nothing follows."""
    return f"retry: {retry_ms}\nid: {token}\n\n".encode()


def progress(token: str) -> bytes:
    """Return a heartbeat that moves the position of a client past what it did not want.

    A block without data dispatches nothing, but sets the last event id all the same. A client that
    overlooks it resumes from further back, and is spared the same events again.
    """
    return f":\nid: {token}\n\n".encode()


def failure(code: str, detail: str) -> bytes:
    """Return the last frame of a stream that cannot go on: the problem as its data, and no id."""
    return b"event: error\ndata: %b\n\n" % Problem(code, detail).body()
