"""The log as Server-Sent Events: what was missed, then what happens, until one of the two ends it."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import Final

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from services.query_api.listening.connections import ABORT
from services.query_api.listening.limits import HEAD
from services.query_api.problems import Problem
from services.query_api.streaming.catching_up import CatchingUp
from services.query_api.streaming.event_frames import HEARTBEAT, Selection, opening, progress
from services.query_api.streaming.follower import Follower
from services.query_api.streaming.subscriber import Subscriber

HEARTBEAT_S: Final = 15.0
WRITE_TIMEOUT_S: Final = 20.0
"""How long a client may take nothing at all."""
RETRY_MS: Final = 2_000
_END_S: Final = 1.0
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventStream(Response):
    """The answer that does not end by itself."""

    media_type = "text/event-stream"

    def __init__(
        self,
        follower: Follower,
        selection: Selection,
        positions: list[int] | None,
        until: float = math.inf,
    ) -> None:
        """Send what was recorded after `positions`, or from now on when they are None; `until` that
        moment (seconds since 1970), when the client's token ends.
        """
        self.status_code = 200
        self.background = None
        self.init_headers(_HEADERS)
        self._follower = follower
        self._selection = selection
        self._positions = positions
        self._until = until

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client leaves, is dropped, or the service stops.

        Raises:
            Problem: too many clients, or the log has not such positions; nothing was sent.
        """
        extensions = scope.get("extensions", {})
        abort = extensions.get(ABORT, {}).get("abort")
        subscriber = Subscriber(self._selection, abort)
        with self._follower.entered(subscriber), _ending(self._until, subscriber):
            catching_up = await CatchingUp.after(self._positions, self._follower, subscriber)
            if HEAD in extensions:
                subscriber.end()
            watching = asyncio.create_task(_watch(receive, subscriber))
            try:
                await send(
                    {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
                )
                async with aclosing(self._texts(catching_up, subscriber)) as texts:
                    async for text in texts:
                        await _send(send, subscriber, text)
                if subscriber.gone:
                    await asyncio.wait({watching}, timeout=_END_S)
                else:
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            finally:
                watching.cancel()

    async def _texts(
        self, catching_up: CatchingUp, subscriber: Subscriber
    ) -> AsyncGenerator[bytes, None]:
        said = catching_up.token
        yield opening(said, RETRY_MS)
        async for text in catching_up.texts():
            if text:
                yield text
        while True:
            if await subscriber.wait(HEARTBEAT_S):
                if subscriber.idle:
                    return
                yield subscriber.take()
            elif (token := self._follower.token) != said:
                said = token
                yield progress(token)
            else:
                yield HEARTBEAT


@contextmanager
def _ending(until: float, subscriber: Subscriber) -> Iterator[None]:
    """Let the stream end in order at a moment. The client may come again, and say anew who it is."""
    if math.isinf(until):
        yield
        return
    end = asyncio.get_running_loop().call_later(max(0.0, until - time.time()), subscriber.end)
    try:
        yield
    finally:
        end.cancel()


async def _send(send: Send, subscriber: Subscriber, text: bytes) -> None:
    """Hand over some bytes as soon as the ones before are on their way."""
    message: Message = {"type": "http.response.body", "body": text, "more_body": True}
    subscriber.sending = True
    try:
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await send(message)
    except TimeoutError:
        subscriber.drop("timeout")
    finally:
        subscriber.sending = False


async def _watch(receive: Receive, subscriber: Subscriber) -> None:
    """Notice that the client has left, or goes on with a body that nobody asked for."""
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    except Problem:
        subscriber.drop("body")
        while (await receive())["type"] != "http.disconnect":
            pass
    subscriber.leave()
