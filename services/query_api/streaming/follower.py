"""One reader of the log for all clients of the live stream, and only while there is one.

    entered ──(catches up from the store)──▶ joined ──(offered every batch)──▶ left or dropped

`positions` is how far the log was offered. To join is one step of the event loop: the client is told
these positions and is in the next batch, so what it has to fetch by itself ends where that begins.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final
from uuid import UUID

import structlog

from passbook.eventstore.errors import EventStoreError, StoreUnavailable
from passbook.eventstore.store import RecordedEvent
from passbook.service import alongside
from passbook.telemetry import STREAM_CLIENTS
from services.query_api.backend import Backend
from services.query_api.problems import Problem
from services.query_api.streaming.event_frames import Frame, Framing, failure, in_order
from services.query_api.streaming.owners import owners_of
from services.query_api.streaming.subscriber import Subscriber

MOST_CLIENTS: Final = 500
RESTORED: Final = failure(
    "position_unknown", "The log ends before what was sent: the event store was restored."
)
_READ_PER_SLOT: Final = 32
_BATCH: Final = 64
"""Events that are offered at a time: about 64 KiB."""
_READERS: Final = 2
_POLL_S: Final = 1.0
_FIRST_RETRY_S: Final = 0.1
_LAST_RETRY_S: Final = 1.0
# A batch costs every client a wake-up and a write, whatever is in it, so they come the less often
# the more clients there are: with 200 of them, every 20 ms.
_PAUSE_PER_CLIENT_S: Final = 0.0001
_PATIENCE_S: Final = 0.25
_TURN_S: Final = 0.002

log = structlog.get_logger()


class Follower:
    """Reads the log and offers it to whoever has joined. `run` does the work."""

    def __init__(self, backend: Callable[[], Backend | None]) -> None:
        """Read from `backend()`, which is None while there is none."""
        self._backend = backend
        self._framing: Framing | None = None
        self._entered: set[Subscriber] = set()
        self._joined: set[Subscriber] = set()
        self._needed = asyncio.Event()
        self._moved = asyncio.Event()
        self._stopped = False
        self.reading = asyncio.Semaphore(_READERS)
        """Held by a client that reads by itself: the others need connections too."""

    @contextmanager
    def entered(self, subscriber: Subscriber) -> Iterator[None]:
        """Have the log followed for the length of the block.

        Raises:
            Problem: `overloaded`, when there are too many clients; `not_ready`, at the end.
        """
        if self._stopped:
            raise Problem("not_ready", "The service stops.")
        if len(self._entered) >= MOST_CLIENTS:
            detail = f"There are {MOST_CLIENTS} clients already."
            raise Problem("overloaded", detail, {"Retry-After": "5"})
        self._entered.add(subscriber)
        STREAM_CLIENTS.set(len(self._entered))
        self._needed.set()
        try:
            yield
        finally:
            self._entered.discard(subscriber)
            self._joined.discard(subscriber)
            STREAM_CLIENTS.set(len(self._entered))

    def backend(self) -> Backend:
        """Return the servers.

        Raises:
            StoreUnavailable: they are not connected.
        """
        backend = self._backend()
        if backend is None:
            message = "not connected"
            raise StoreUnavailable(message)
        return backend

    @property
    def positions(self) -> list[int]:
        """How far the log was offered, slot by slot; the beginning while nothing is known."""
        return self._known().positions

    @property
    def token(self) -> str:
        """The resume token of everything that was offered."""
        return self._known().token

    def _known(self) -> Framing:
        return self._framing or Framing.of_nothing()

    def reached(self, heads: Sequence[int]) -> bool:
        """Tell whether the log was offered up to `heads`."""
        return self._framing is not None and not _behind(self._framing.positions, heads)

    async def moved(self, timeout_s: float) -> None:
        """Return when something was offered, or after the timeout."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._moved.wait()

    def join(self, subscriber: Subscriber) -> list[int]:
        """Offer everything from now on to a subscriber; return what was offered before that."""
        self._joined.add(subscriber)
        return list(self.positions)

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow the log while anybody has entered, until `stopping`; then all streams end."""
        try:
            async with alongside(self._follow()):
                await stopping.wait()
        finally:
            self._stopped = True
            self._end_all(Subscriber.stop)

    async def _follow(self) -> None:
        retry_s = _FIRST_RETRY_S
        while True:
            await self._needed.wait()
            try:
                await self._step()
            except EventStoreError as error:
                if retry_s == _FIRST_RETRY_S:
                    log.warning("stream.waiting", error=str(error))
            except Exception:
                # A bug: nobody must wait for what does not come. They resume from what they have.
                log.exception("stream.failed")
                self._end_all(Subscriber.stop)
                self._framing = None
            else:
                retry_s = _FIRST_RETRY_S
                if not self._entered:
                    self._needed.clear()
                    self._framing = None
                continue
            await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))
            retry_s = min(2 * retry_s, _LAST_RETRY_S)

    async def _step(self) -> None:
        backend = self.backend()
        if self._framing is None:
            self._framing = Framing(dense(await backend.store.heads()))
            self._tell()
        rings = backend.events_bell.rings
        events = await backend.store.read_log(self._framing.after, _READ_PER_SLOT)
        if events:
            await self._offer_all(backend, self._framing, in_order(events))
            await asyncio.sleep(_PAUSE_PER_CLIENT_S * len(self._joined))
        elif _behind(dense(await backend.store.heads()), self._framing.positions):
            # Numbers that were sent will be given again, to other events.
            self._end_all(lambda subscriber: subscriber.fail(RESTORED))
            self._framing = None
        else:
            await backend.events_bell.heard(rings, _POLL_S)

    async def _offer_all(
        self, backend: Backend, framing: Framing, events: Sequence[RecordedEvent]
    ) -> None:
        for first in range(0, len(events), _BATCH):
            batch = events[first : first + _BATCH]
            owners: Mapping[UUID, str] = {}
            # Somebody who needs them may join while they are looked up.
            while not owners and self._needs_owners():
                owners = await owners_of(backend, batch)
            frames: list[Frame] = []
            try:
                for event in batch:
                    frames.append(framing.frame(event))  # noqa: PERF401 - those before a hole count
            finally:
                if frames:
                    self._offer(frames, owners)
            await self._room()

    def _needs_owners(self) -> bool:
        return any(subscriber.selection.owner is not None for subscriber in self._joined)

    def _offer(self, frames: Sequence[Frame], owners: Mapping[UUID, str]) -> None:
        """Put a batch into every queue: no `await` between its positions and this."""
        readable = not any(frame.unreadable for frame in frames)
        whole = b"".join([frame.text for frame in frames]) if readable else None
        for subscriber in tuple(self._joined):
            subscriber.offer(frames, whole, owners)
            if subscriber.ending:
                self._joined.discard(subscriber)
        self._tell()

    async def _room(self) -> None:
        """Give the clients a turn, and most of them, when there is much to send, the time that they
        need. It is bounded: those who do not take anything are dropped before long.
        """
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        await asyncio.sleep(0)
        while 2 * sum(subscriber.crowded for subscriber in self._joined) > len(self._joined):
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(_TURN_S)

    def _end_all(self, end: Callable[[Subscriber], None]) -> None:
        for subscriber in tuple(self._entered):
            end(subscriber)
        self._joined.clear()
        self._tell()

    def _tell(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


def dense(heads: Mapping[int, int]) -> list[int]:
    """Return slot → number as a list, one for each slot."""
    return [heads[slot] for slot in sorted(heads)]


def _behind(positions: Sequence[int], others: Sequence[int]) -> bool:
    return any(here < there for here, there in zip(positions, others, strict=True))
