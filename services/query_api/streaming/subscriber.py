"""One client of the live stream: what waits to be sent to it, and how it ends."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

import structlog

from passbook.telemetry import STREAM_DROPPED, STREAM_FRAMES
from services.query_api.streaming.event_frames import Frame, Selection, failure

QUEUE_BYTES: Final = 1 << 20
"""What may wait for one client. Beyond that it is not as fast as the log and has to come again."""
_QUEUE_PARTS: Final = 1_000
_AT_ONCE: Final = 1 << 17

log = structlog.get_logger()


class Subscriber:
    """A queue with a bound. The follower puts in, the response takes out; neither waits for the
    other.
    """

    def __init__(self, selection: Selection, abort: Callable[[], None] | None = None) -> None:
        """Start with nothing to send; `abort` breaks the connection off."""
        self.selection = selection
        self.gone = False
        """It has left, or was sent away: nothing more is for it."""
        self.ending = False
        """Nothing follows what waits."""
        self.sending = False
        """Something is on its way to it."""
        self._abort = abort
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()

    @property
    def crowded(self) -> bool:
        """Whether a good part of the queue is full."""
        return self._bytes > QUEUE_BYTES // 4

    @property
    def idle(self) -> bool:
        """Whether everything that was offered has been taken."""
        return not self._waiting

    def offer(
        self, frames: Sequence[Frame], whole: bytes | None, owners: Mapping[UUID, str]
    ) -> None:
        """Queue what of `frames` it wants. `whole` is the text of them all, None when one of them
        cannot be read.
        """
        if whole is not None and self.selection.everything:
            STREAM_FRAMES.inc(len(frames))
            self._put(whole)
            return
        text, unreadable = self.pick(frames, owners)
        if text:
            self._put(text)
        if unreadable:
            self.end(failure("unreadable", unreadable))

    def pick(self, frames: Sequence[Frame], owners: Mapping[UUID, str]) -> tuple[bytes, str]:
        """Return the text of what it wants up to the first that cannot be read, and why it cannot."""
        texts = []
        unreadable = ""
        for frame in frames:
            if self.selection.wants(frame, owners):
                if unreadable := frame.unreadable:
                    break
                texts.append(frame.text)
        STREAM_FRAMES.inc(len(texts))
        return b"".join(texts), unreadable

    def end(self, last: bytes = b"") -> None:
        """Send what waits, and `last`, and then nothing more."""
        if last:
            self._put(last)
        self.ending = True
        self._changed.set()

    def fail(self, last: bytes) -> None:
        """Send `last` next, and then nothing more: what waits lies behind what cannot be sent."""
        self._forget()
        self.end(last)

    def drop(self, reason: str) -> None:
        """Break the connection off: the client does not take what waits."""
        if not self.gone:
            STREAM_DROPPED.labels(reason).inc()
            log.info("stream.dropped", reason=reason)
            self.leave()
            if self._abort is not None:
                self._abort()

    def leave(self) -> None:
        """Forget what waits: nobody takes it."""
        self.gone = True
        self._forget()
        self.end()

    def stop(self) -> None:
        """End now, for the end of the service: the client will resume from what it has got."""
        if self.sending or not self.idle:
            self.drop("stop")
        self.end()

    def _forget(self) -> None:
        self._waiting.clear()
        self._bytes = 0

    def _put(self, text: bytes) -> None:
        if self.ending:
            return
        if self._bytes + len(text) > QUEUE_BYTES or len(self._waiting) >= _QUEUE_PARTS:
            self.drop("queue")
            return
        self._waiting.append(text)
        self._bytes += len(text)
        self._changed.set()

    async def wait(self, timeout_s: float) -> bool:
        """Return True as soon as there is something to take or an end; False after the timeout."""
        if self.idle and not self.ending:
            self._changed.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._changed.wait()
            except TimeoutError:
                return False
        return True

    async def pause(self, pause_s: float) -> None:
        """Return after a time, or as soon as it ends."""
        deadline = asyncio.get_running_loop().time() + pause_s
        while not self.ending and (left := deadline - asyncio.get_running_loop().time()) > 0:
            self._changed.clear()
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                return

    def take(self) -> bytes:
        """Return what waits, up to about 128 KiB of it."""
        taken = [self._waiting.popleft()]
        size = len(taken[0])
        while self._waiting and size + len(self._waiting[0]) <= _AT_ONCE:
            taken.append(self._waiting.popleft())
            size += len(taken[-1])
        self._bytes -= size
        return taken[0] if len(taken) == 1 else b"".join(taken)
