"""The live stream from the beginning of a log whose old part is archived."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from passbook.domain.slots import SLOT_COUNT
from passbook.eventstore.doorbell import DoorbellListener
from passbook.eventstore.store import EventStore
from passbook.service import alongside
from services.query_api.backend import Backend
from services.query_api.streaming.event_frames import Selection
from services.query_api.streaming.follower import Follower
from services.query_api.streaming.stream import EventStream
from tests.integration.archive.conftest import Books
from tests.support.sse import Event, Parser, assert_gapless


async def _told(store: EventStore, count: int) -> list[Event]:
    """Follow the log from its beginning, and leave after so many events."""
    backend = SimpleNamespace(store=store, events_bell=DoorbellListener(""))
    follower = Follower(lambda: cast("Backend", backend))
    parser, events, enough = Parser(), list[Event](), asyncio.Event()

    async def send(message: Any) -> None:
        events.extend(parser.feed(message.get("body", b"")))
        if len(events) >= count:
            enough.set()

    async def receive() -> dict[str, str]:
        await enough.wait()
        return {"type": "http.disconnect"}

    async with asyncio.timeout(10), alongside(follower.run(asyncio.Event())):
        stream = EventStream(follower, Selection(), [0] * SLOT_COUNT)
        await stream({"type": "http"}, receive, send)
    return events


async def test_what_is_archived_is_streamed_as_if_it_were_in_the_table(
    books: Books, account_id: UUID
) -> None:
    everything = await books.log()
    assert (await books.run()).events
    events = await _told(books.store, len(everything))
    assert_gapless(events)
    assert {event.document["event_id"] for event in events} == {
        str(event.event_id) for event in everything
    }
    assert str(account_id) in {event.document["stream_id"] for event in events}


async def test_what_is_archived_and_cannot_be_read_ends_the_stream(
    books: Books, account_id: UUID
) -> None:
    """Nothing behind the hole is sent of its slot."""
    del account_id
    assert (await books.run()).events
    events = await _told(books.plain, 1)
    assert [event.type for event in events] == ["error"]
    assert events[0].document["code"] == "unreadable"
