"""A subscription: the events of the ledger, one by one, to whoever asks, until acknowledged."""

import asyncio
from collections.abc import Collection
from types import TracebackType
from typing import Any, Final, Literal, Self

from passbook.client.desk import Desk
from passbook.client.errors import BankUnreachable
from passbook.client.intake import Intake, OnGap, Ready
from passbook.client.reading import Reading
from passbook.client.received import ReceivedEvent
from passbook.client.source import OpenSource
from passbook.domain.events import EVENT_TYPES, Event
from passbook.messaging.consumer import ConsumerLost

From = Literal["beginning", "now"]
Types = Collection[str | type[Event]]

DEFAULT_MAX_IN_FLIGHT: Final = 1000
_TURN: Final = 32


class Subscription:
    """The events that a group has not acknowledged yet, as an async iterator.

    Any number of tasks may iterate over one subscription at once, and any number of processes may
    subscribe with one group: each event goes to one of them, and that of an account to nobody
    before the one before it is acknowledged. It connects when it is first asked for an event, or
    at `async with`; it ends with its `async with` block, with `aclose`, or with its client.

    An event that is not acknowledged holds back its account, and after some hundred further ones
    its partition: finish it, or end the subscription.
    """

    def __init__(  # noqa: PLR0913 - what `subscribe` takes
        self,
        open_source: OpenSource,
        partitions: int,
        *,
        types: Types | None,
        from_: From,
        on_gap: OnGap | None,
        max_in_flight: int,
    ) -> None:
        """Take what `subscribe` was given; nothing is connected yet."""
        if from_ not in {"beginning", "now"}:
            message = f"from_ is 'beginning' or 'now', not {from_!r}"
            raise ValueError(message)
        if max_in_flight < 1:
            message = f"max_in_flight is at least 1, not {max_in_flight}"
            raise ValueError(message)
        nudged = asyncio.Event()
        self._desk: Desk[Ready] = Desk(max_in_flight)
        self._intake = Intake(
            self._desk,
            partitions=partitions,
            types=_names(types),
            on_gap=on_gap,
            max_in_flight=max_in_flight,
            room=nudged.set,
        )
        self._reading = Reading(open_source, self._intake, nudged, from_first=from_ == "beginning")
        self._from_now = from_ == "now"
        self._running: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._ending: asyncio.Task[None] | None = None
        self._asked = 0

    @property
    def closed(self) -> bool:
        """Whether it has been told to end."""
        return self._ending is not None

    @property
    def repeated(self) -> int:
        """How many events came again and were passed over."""
        return self._intake.repeated

    @property
    def missing(self) -> int:
        """How many events were missing, as `on_gap` was told."""
        return self._intake.missing

    @property
    def reconnects(self) -> int:
        """How often the connection was lost and opened anew."""
        return self._reading.reconnects

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> ReceivedEvent:
        """Return the next event that is ready, waiting for it, and while `max_in_flight` others are
        not acknowledged. Whoever is cancelled meanwhile has missed nothing.

        Raises:
            BankUnreachable: Kafka does not answer, and has not yet.
            TopicMismatch: the topic is not the one named.
            EventsMissing, UnreadableRecord: going on would skip something.
        """
        await self._start()
        self._asked += 1
        if self._asked % _TURN == 0:
            # While there are events at hand nothing here waits, and heartbeats have to be sent.
            await asyncio.sleep(0)
        while (ready := await self._desk.take()) is not None:
            event = self._intake.hand_out(ready)
            if event is not None:
                return event
            self._desk.give_back()
        if self._intake.failure is not None and self._ending is None:
            raise self._intake.failure
        raise StopAsyncIteration

    async def _start(self) -> None:
        if self._running is not None or self._ending is not None:
            return
        async with self._starting:
            if self._running is not None or self._ending is not None:
                return
            try:
                await self._reading.start()
            except ConsumerLost as error:
                raise BankUnreachable(str(error)) from error
            self._running = asyncio.create_task(self._reading.run())

    async def aclose(self) -> None:
        """End: whoever iterates comes to the end of the loop, what was acknowledged is stored, and
        the group gives the partitions to others. What is in somebody's hands comes again.
        """
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        # Whoever is cancelled here does not keep the others from an ordered end.
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        self._desk.end(-1)
        async with self._starting:
            if self._running is None:
                return
            self._running.cancel()
            await asyncio.wait({self._running})
            await self._reading.stop()

    async def __aenter__(self) -> Self:
        """Connect. With `from_="now"` this is the moment: what is recorded in the block is told.

        Raises:
            BankUnreachable, TopicMismatch: as when it is asked for an event.
        """
        await self._start()
        if self._from_now and self._running is not None:
            begun = asyncio.create_task(self._reading.begun.wait())
            try:
                await asyncio.wait({begun, self._running}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                begun.cancel()
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End."""
        await self.aclose()


def _names(types: Any) -> frozenset[str] | None:
    if types is None:
        return None
    if isinstance(types, str | type):
        message = f"types is a collection, like {{{types!r}}}"
        raise TypeError(message)
    names = frozenset(one if isinstance(one, str) else one.__name__ for one in types)
    if unknown := names - EVENT_TYPES.keys():
        message = f"no such event: {', '.join(sorted(unknown))}; there are {', '.join(EVENT_TYPES)}"
        raise ValueError(message)
    return names
