"""What was read of one partition and is not done with yet: bookkeeping, without I/O or tasks.

Three rules, whatever the order of acknowledgements. The group's offset is behind the unbroken run of
acknowledged events, with a note of those beyond; an event of an account is ready when the one before it is acknowledged; and a
slot goes on with its next number only.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from passbook.client.progress import Progress

Item = TypeVar("Item")


class Place(Enum):
    """Where a number of a slot stands."""

    NEXT = "next"
    REPEATED = "repeated"
    BEYOND = "beyond"


@dataclass(slots=True, eq=False)
class Delivery(Generic[Item]):
    """One event on its way. `item` is what its subscriber is to get, None when it is unwanted;
    `number` and `laid_out` are for those who offer it.
    """

    offset: int
    slot: int
    slot_seq: int
    account_id: str
    number: int = 0
    item: Item | None = None
    laid_out: bool = False
    handed_out: bool = False
    done: bool = False


class Deliveries(Generic[Item]):
    """The bookkeeping of one partition, which goes on from `progress`."""

    def __init__(self, progress: Progress) -> None:
        """Start with nothing outstanding."""
        self.next_offset = progress.offset
        """What is read next."""
        self.waiting = 0
        """How many events were taken in and not handed out yet."""
        self._from_first = progress.from_first
        self._done_before = set(progress.beyond)
        self._seen = dict(progress.positions)
        self._done = dict(progress.positions)
        self._window: deque[Delivery[Item]] = deque()
        self._chains: dict[str, deque[Delivery[Item]]] = {}

    def __len__(self) -> int:
        """Return how much is kept: everything from the first event that is not acknowledged."""
        return len(self._window)

    @property
    def progress(self) -> Progress:
        """How far everything is acknowledged."""
        offset = self._window[0].offset if self._window else self.next_offset
        # Also what was done before a restart and has not been read again yet.
        beyond = self._done_before.union(one.offset for one in self._window if one.done)
        return Progress(offset, dict(self._done), self._from_first, frozenset(beyond))

    def expected(self, slot: int) -> int | None:
        """Return the next number of a slot; None when any will do."""
        number = self._seen.get(slot, 0 if self._from_first else None)
        return None if number is None else number + 1

    def place(self, slot: int, slot_seq: int) -> Place:
        """Return where a number stands that was read just now."""
        expected = self.expected(slot)
        if expected is None or slot_seq == expected:
            return Place.NEXT
        return Place.REPEATED if slot_seq < expected else Place.BEYOND

    def acknowledged_before(self, offset: int) -> bool:
        """Tell whether what is read here was acknowledged before a restart, out of its order."""
        return offset in self._done_before

    def pass_over(self, offset: int) -> None:
        """Take in a repeated record: there is nothing to do about it."""
        self.next_offset = offset + 1
        self._done_before.discard(offset)

    def take(self, delivery: Delivery[Item]) -> bool:
        """Take in an event; return whether it is ready: no other one of its account is outstanding."""
        self._see(delivery)
        self.waiting += 1
        chain = self._chains.setdefault(delivery.account_id, deque())
        chain.append(delivery)
        return len(chain) == 1

    def take_unwanted(self, delivery: Delivery[Item]) -> None:
        """Take in an event that nobody is to have: it counts as acknowledged."""
        delivery.done = True
        self._see(delivery)
        self._advance()

    def hand_out(self, delivery: Delivery[Item]) -> Item:
        """Return the event of a delivery that is ready, for somebody to work on."""
        assert delivery.item is not None, "unwanted ones are never ready"
        delivery.handed_out = True
        self.waiting -= 1
        return delivery.item

    def acknowledge(self, delivery: Delivery[Item]) -> Delivery[Item] | None:
        """Take note that it is done with; return the next one of its account, which is ready now."""
        delivery.done = True
        self._advance()
        chain = self._chains[delivery.account_id]
        chain.popleft()
        if chain:
            return chain[0]
        del self._chains[delivery.account_id]
        return None

    def ready(self) -> Iterable[Delivery[Item]]:
        """Return what is ready and handed out to nobody, in the order of the partition."""
        heads = (chain[0] for chain in self._chains.values() if not chain[0].handed_out)
        return sorted(heads, key=lambda delivery: delivery.offset)

    def handed_out(self) -> int:
        """Return how many events somebody has and has not acknowledged."""
        return sum(chain[0].handed_out for chain in self._chains.values())

    def _see(self, delivery: Delivery[Item]) -> None:
        self._window.append(delivery)
        self._seen[delivery.slot] = delivery.slot_seq
        self._done_before.discard(delivery.offset)
        self.next_offset = delivery.offset + 1

    def _advance(self) -> None:
        while self._window and self._window[0].done:
            done = self._window.popleft()
            self._done[done.slot] = done.slot_seq
