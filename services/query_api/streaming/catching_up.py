"""What a client of the live stream has missed, read for it alone, up to where it joins the others."""

import time
from collections.abc import AsyncIterator, Sequence
from typing import Final, Self

from passbook.eventstore.errors import EventStoreError, LogIncomplete
from services.query_api.problems import Problem
from services.query_api.streaming.event_frames import (
    Framing,
    failure,
    in_order,
    progress,
)
from services.query_api.streaming.follower import RESTORED, Follower, dense
from services.query_api.streaming.owners import owners_of
from services.query_api.streaming.subscriber import Subscriber

_AT_ONCE: Final = 256
"""Events of one read: a few milliseconds of work."""
_REACH: Final = 1_000
"""So near, a client joins: what happens while it reads the rest has to fit into its queue."""
_RETRY_S: Final = 1.0
_SILENCE_S: Final = 10.0


class CatchingUp:
    """Reads for one client. `texts` ends when it has joined and has everything from before that."""

    def __init__(
        self, framing: Framing, heads: Sequence[int], follower: Follower, subscriber: Subscriber
    ) -> None:
        """See `after`."""
        self._framing = framing
        self._heads = heads
        self._follower = follower
        self._subscriber = subscriber
        self._spoke = time.monotonic()

    @classmethod
    async def after(
        cls, positions: Sequence[int] | None, follower: Follower, subscriber: Subscriber
    ) -> Self:
        """Begin after `positions`, or, when they are None, at the end of the log.

        Raises:
            Problem: `position_unknown`, when the log is shorter than that.
            EventStoreError: it cannot be told.
        """
        heads = dense(await follower.backend().store.heads())
        ahead = [
            f"{slot}:{number}"
            for slot, (number, head) in enumerate(zip(positions or heads, heads, strict=True))
            if number > head
        ]
        if ahead:
            detail = (
                f"The log does not reach {ahead[0]}: the event store was restored to an earlier "
                "state. Start without a position, and forget what you have."
            )
            raise Problem("position_unknown", detail)
        return cls(Framing(positions or heads), heads, follower, subscriber)

    @property
    def token(self) -> str:
        """The resume token of what was sent."""
        return self._framing.token

    async def texts(self) -> AsyncIterator[bytes]:
        """Yield what is to be sent of what was missed. Then the subscriber has joined, or ends."""
        # The follower may yet have to come to what another process has sent already.
        while not (self._follower.reached(self._heads) or self._subscriber.ending):
            await self._follower.moved(_RETRY_S)
            yield self._sign_of_life()
        target = self._follower.positions
        while self._missing(target) > _REACH:
            yield await self._step(target)
            target = self._follower.positions
        target = self._follower.join(self._subscriber)
        while self._missing(target):
            yield await self._step(target)

    def _missing(self, target: Sequence[int]) -> int:
        """Return how many events there are up to `target`; none when the stream ends."""
        here = self._framing.positions
        if any(position > number for position, number in zip(here, target, strict=True)):
            self._subscriber.fail(RESTORED)
        return 0 if self._subscriber.ending else sum(target) - sum(here)

    async def _step(self, target: Sequence[int]) -> bytes:
        """Return some of what there is up to `target`, or at least a sign of life now and then."""
        text = b""
        try:
            text = await self._read(target)
        except LogIncomplete as error:
            self._subscriber.fail(failure("unreadable", str(error)))
        except EventStoreError:
            # It goes on when the store is back; the follower has said that it is not there.
            await self._subscriber.pause(_RETRY_S)
        if not text:
            return self._sign_of_life()
        self._spoke = time.monotonic()
        return text

    def _sign_of_life(self) -> bytes:
        """Return a heartbeat when nothing was said for some time."""
        if time.monotonic() - self._spoke < _SILENCE_S:
            return b""
        self._spoke = time.monotonic()
        return progress(self.token)

    async def _read(self, target: Sequence[int]) -> bytes:
        here = self._framing.positions
        after = {slot: here[slot] for slot, number in enumerate(target) if here[slot] < number}
        backend = self._follower.backend()
        async with self._follower.reading:
            log = await backend.store.read_log(after, max(1, _AT_ONCE // len(after)))
        events = [event for event in in_order(log) if event.slot_seq <= target[event.slot]]
        if not events:
            self._subscriber.fail(RESTORED)
        restricted = self._subscriber.selection.owner is not None
        owners = await owners_of(backend, events) if restricted else {}
        frames = [self._framing.frame(event) for event in events]
        text, unreadable = self._subscriber.pick(frames, owners)
        if unreadable:
            self._subscriber.fail(failure("unreadable", unreadable))
        return text
