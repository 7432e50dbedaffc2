"""Taking records into the books of their partition: read, compared with what is expected, and laid
down for the subscriber.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from passbook.client.deliveries import Deliveries, Delivery, Place
from passbook.client.desk import Desk
from passbook.client.errors import EventsMissing, UnreadableRecord
from passbook.client.received import ReceivedEvent, received
from passbook.domain.slots import partition_of
from passbook.messaging.consumer import Record
from passbook.messaging.events import ForeignRecord, PublishedEvent, decode
from passbook.messaging.member import Note

OnGap = Callable[[EventsMissing], Awaitable[None] | None]

_LEAST_WINDOW: Final = 256


@dataclass(slots=True, eq=False)
class Partition:
    """One partition that this reader works on, or did until just now.

    `stored` is what the group has of it, and `sent` what it may have: its answer is not there.
    `live`: what is in the books may be handed out. `closed`: nothing here matters any more.
    `halted` is why nothing is read beyond what is in the books.
    """

    number: int
    book: Deliveries[ReceivedEvent]
    stored: Note
    sent: Note | None = None
    live: bool = True
    closed: bool = False
    full: bool = False
    halted: Exception | None = None


Ready = tuple[Partition, Delivery[ReceivedEvent]]


class Intake:
    """Takes records in, and acknowledgements back."""

    def __init__(  # noqa: PLR0913 - the options of a subscription
        self,
        desk: Desk[Ready],
        *,
        partitions: int,
        types: frozenset[str] | None,
        on_gap: OnGap | None,
        max_in_flight: int,
        room: Callable[[], None],
    ) -> None:
        """Take the options of the subscription; `room` is called when a full partition has room."""
        self.repeated = 0
        self.missing = 0
        self.failure: Exception | None = None
        self._desk = desk
        self._partitions = partitions
        self._types = types
        self._on_gap = on_gap
        self._window = max(_LEAST_WINDOW, max_in_flight)
        self._room = room
        self._taken = 0

    async def take(self, partition: Partition, records: Sequence[Record]) -> None:
        """Take in the next records of a partition, up to the first one that must stop it."""
        for record in records:
            try:
                await self._take(partition, record)
            except Exception as error:  # noqa: BLE001 - whatever `on_gap` raises stops it too
                partition.halted = error
                self._stop_if_halted(partition)
                return
        partition.full = len(partition.book) >= self._window

    async def _take(self, partition: Partition, record: Record) -> None:
        book, published = partition.book, self._published(record)
        slot, number = published.slot, published.slot_seq
        place = book.place(slot, number)
        if place is Place.REPEATED:
            self.repeated += 1
            book.pass_over(record.offset)
            return
        if place is Place.BEYOND:
            await self._gap(EventsMissing(slot, book.expected(slot) or 1, number))
        self._taken += 1
        delivery: Delivery[ReceivedEvent] = Delivery(
            record.offset, slot, number, published.account_id, self._taken
        )
        unwanted = self._types is not None and published.event_type not in self._types
        if unwanted or book.acknowledged_before(record.offset):
            book.take_unwanted(delivery)
            return
        acknowledge = partial(self._acknowledge, partition, delivery)
        try:
            delivery.item = received(published, record, acknowledge)
        except (ValueError, KeyError, TypeError) as error:
            reason = f"{published.event_type}: {error}"
            raise UnreadableRecord(record.partition, record.offset, reason) from error
        if book.take(delivery):
            self._lay_out(partition, delivery)

    def _published(self, record: Record) -> PublishedEvent:
        try:
            published = decode(record.key, record.value, record.headers)
        except ForeignRecord as error:
            raise UnreadableRecord(record.partition, record.offset, str(error)) from error
        if partition_of(published.slot, self._partitions) != record.partition:
            reason = f"not an event of ours: slot {published.slot} has another partition"
            raise UnreadableRecord(record.partition, record.offset, reason)
        return published

    async def _gap(self, missing: EventsMissing) -> None:
        if self._on_gap is None:
            raise missing
        self.missing += missing.found - missing.expected
        answer = self._on_gap(missing)
        if inspect.isawaitable(answer):
            await answer

    def hand_out(self, ready: Ready) -> ReceivedEvent | None:
        """Return the event for whoever asked; None when its partition is not ours at the moment."""
        partition, delivery = ready
        delivery.laid_out = False
        if not partition.live:
            return None
        event = partition.book.hand_out(delivery)
        self._stop_if_halted(partition)
        return event

    def resume(self, partition: Partition) -> None:
        """Go on with a partition that was shared out anew and came back."""
        partition.live = True
        for delivery in partition.book.ready():
            if not delivery.laid_out:
                self._lay_out(partition, delivery)

    def close(self, partition: Partition) -> None:
        """Close the books of a partition: it is somebody else's."""
        partition.live, partition.closed = False, True
        self._desk.give_back(partition.book.handed_out())

    def fail(self, error: Exception) -> None:
        """Have the subscriber told, after what lies ready, that this is the end."""
        if self.failure is None:
            self.failure = error
            self._taken += 1
            self._desk.end(self._taken)

    def _lay_out(self, partition: Partition, delivery: Delivery[ReceivedEvent]) -> None:
        delivery.laid_out = True
        self._desk.put(delivery.number, (partition, delivery))

    def _acknowledge(self, partition: Partition, delivery: Delivery[ReceivedEvent]) -> None:
        if delivery.done or partition.closed:
            return
        following = partition.book.acknowledge(delivery)
        self._desk.give_back()
        if following is not None and partition.live:
            self._lay_out(partition, following)
        if partition.full and len(partition.book) <= self._window // 2:
            partition.full = False
            self._room()

    def _stop_if_halted(self, partition: Partition) -> None:
        """What comes before the record that stops a partition is handed out first."""
        if partition.halted is not None and not partition.book.waiting:
            self.fail(partition.halted)
