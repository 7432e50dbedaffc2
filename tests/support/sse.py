"""A client of Server-Sent Events that shares no code with the service: a socket and the rules.

Source: WHATWG HTML, section 9.2.5 and 9.2.6; RFC 9112, section 7.1 for the chunks.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

_READ: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Event:
    """What was dispatched: `id` is the last event id at this moment."""

    id: str
    type: str
    data: str

    @property
    def document(self) -> Any:
        """The data, as JSON."""
        return json.loads(self.data)


@dataclass(slots=True)
class Parser:
    """Turns the bytes of a stream into events; also counts what dispatches nothing."""

    last_id: str = ""
    """Of the last block that has come to its end: from here a client resumes."""
    retry_ms: int = 0
    comments: int = 0
    _line: bytes = b""
    _id: str = ""
    _data: list[str] = field(default_factory=list)
    _type: str = ""

    def feed(self, text: bytes) -> list[Event]:
        """Return what some more bytes complete."""
        *lines, self._line = (self._line + text).split(b"\n")
        return [event for line in lines if (event := self._take(line.decode())) is not None]

    def _take(self, line: str) -> Event | None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "" if line:
                self.comments += 1
            case "":
                self.last_id = self._id or self.last_id
                data, kind = "\n".join(self._data), self._type
                self._data, self._type = [], ""
                return Event(self.last_id, kind or "message", data) if data else None
            case "id":
                self._id = value
            case "event":
                self._type = value
            case "data":
                self._data.append(value)
            case "retry":
                self.retry_ms = int(value)
            case _:
                message = f"no field of ours: {line}"
                raise AssertionError(message)
        return None


class Stream:
    """An answer that goes on: `status` and `headers` first, then events."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read from a connection on which the request was sent."""
        self._reader = reader
        self._writer = writer
        self._ready: list[Event] = []
        self.parser = Parser()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended = False
        """The answer came to its end in order."""

    async def begin(self) -> None:
        """Read the status and the headers."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.status = int(head[0].split()[1])
        pairs = [line.partition(": ") for line in head[1:] if line]
        self.headers = {name.lower(): value for name, _, value in pairs}

    async def body(self) -> bytes:
        """Return the body of an answer that has a length."""
        return await self._reader.readexactly(int(self.headers["content-length"]))

    async def more(self) -> list[Event]:
        """Return the events of the next chunk, which may be none; check `ended`."""
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        chunk = (await self._reader.readexactly(size + 2))[:-2]
        self.ended = size == 0
        return self.parser.feed(chunk)

    async def events(self) -> AsyncIterator[Event]:
        """Yield events until the answer ends; raise `EOFError` when the connection breaks."""
        while not self.ended:
            for event in await self.more():
                yield event

    async def take(self, count: int) -> list[Event]:
        """Return the next events."""
        while len(self._ready) < count:
            assert not self.ended, f"ended after {len(self._ready)} of {count} events"
            self._ready += await self.more()
        taken, self._ready = self._ready[:count], self._ready[count:]
        return taken

    def close(self) -> None:
        """Break the connection off."""
        self._writer.transport.abort()


@asynccontextmanager
async def following(
    http_url: str,
    query: str = "",
    *,
    last_event_id: str | None = None,
    headers: Mapping[str, str] | None = None,
    receive_buffer: int | None = None,
    path: str = "/v1/events",
) -> AsyncIterator[Stream]:
    """Follow the log for the length of the block. `receive_buffer` are bytes that the kernel keeps
    for a client that does not read.
    """
    place = urlsplit(http_url)
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.setblocking(False)  # noqa: FBT003 - the standard library's signature
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(connection, (place.hostname, place.port))
    except BaseException:
        connection.close()
        raise
    reader, writer = await asyncio.open_connection(sock=connection, limit=_READ)
    said = {"Host": place.netloc, "Accept": "text/event-stream", **(headers or {})}
    if last_event_id is not None:
        said["Last-Event-ID"] = last_event_id
    lines = [f"GET {path}{query and '?'}{query} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in said.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
    stream = Stream(reader, writer)
    try:
        await stream.begin()
        yield stream
    finally:
        stream.close()


def numbers(events: Iterable[Event]) -> dict[int, list[int]]:
    """Return slot → the numbers of events, in the order in which they came."""
    found: dict[int, list[int]] = {}
    for event in events:
        document = event.document
        found.setdefault(document["slot"], []).append(document["slot_seq"])
    return found


def assert_gapless(events: Iterable[Event], after: Mapping[int, int] | None = None) -> None:
    """Fail when, in any slot, a number is missing, repeated or out of order."""
    for slot, came in numbers(events).items():
        first = (after or {}).get(slot, 0) + 1
        assert came == list(range(first, first + len(came))), (slot, came[:20])


def positions_in(token: str) -> dict[int, int]:
    """Return slot → number as an id says it."""
    pairs = [part.split(":") for part in token.split(",")]
    return {int(slot): int(number) for slot, number in pairs}
