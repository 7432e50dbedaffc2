"""The books of one partition against a model that remembers everything."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from passbook.client.deliveries import Deliveries, Delivery, Place
from passbook.client.progress import Progress
from passbook.messaging.member import Note

_NEW = Progress(0, {}, from_first=True)


class Written(NamedTuple):
    """One record of a partition: some of them are repeats of events before."""

    slot: int
    slot_seq: int
    account_id: str


@st.composite
def partitions(draw: st.DrawFn) -> list[Written]:
    """Return a partition of four slots, without gaps, in which records repeat."""
    written: list[Written] = []
    heads: dict[int, int] = defaultdict(int)
    for slot, account, repeat in draw(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 9)), max_size=60)
    ):
        if repeat == 0 and written:
            written.append(written[account % len(written)])
            continue
        heads[slot] += 1
        written.append(Written(slot, heads[slot], f"{slot}/{account}"))
    return written


class Reader:
    """One after another, processes that read the partition, and what all of them were given."""

    def __init__(self, written: Sequence[Written]) -> None:
        self.written = written
        self.acknowledged: list[Written] = []
        self.given: list[Written] = []
        self.note = _NEW.note()
        self.restart()

    def restart(self) -> None:
        """Begin anew with nothing but what is stored."""
        self.book: Deliveries[Written] = Deliveries(Progress.of(self.note))
        self.ready: list[Delivery[Written]] = []
        self.out: list[Delivery[Written]] = []

    def read(self) -> None:
        """Take in the next record."""
        offset = self.book.next_offset
        if offset == len(self.written):
            return
        event = self.written[offset]
        place = self.book.place(event.slot, event.slot_seq)
        assert place is not Place.BEYOND
        if place is Place.REPEATED:
            self.book.pass_over(offset)
            return
        delivery = Delivery(offset, event.slot, event.slot_seq, event.account_id, item=event)
        if self.book.acknowledged_before(offset):
            self.book.take_unwanted(delivery)
        elif self.book.take(delivery):
            self.ready.append(delivery)

    def take(self, which: int) -> None:
        """Hand out one of those that are ready."""
        if not self.ready:
            return
        delivery = self.ready.pop(which % len(self.ready))
        before = [one for one in self.acknowledged if one.account_id == delivery.account_id]
        event = self.book.hand_out(delivery)
        history = [one for one in dict.fromkeys(self.written) if one.account_id == event.account_id]
        assert event == history[len(before)], "an event came before the one before it was done with"
        assert event not in self.acknowledged
        self.given.append(event)
        self.out.append(delivery)

    def acknowledge(self, which: int) -> None:
        """Acknowledge one of those that are out."""
        if not self.out:
            return
        delivery = self.out.pop(which % len(self.out))
        assert delivery.item is not None
        self.acknowledged.append(delivery.item)
        following = self.book.acknowledge(delivery)
        if following is not None:
            self.ready.append(following)

    def store(self) -> None:
        """Store how far this is."""
        progress = self.book.progress
        done = {self.written[at] for at in range(progress.offset)}
        assert done <= set(self.acknowledged), "something was stored as done that is not"
        self.note = progress.note()


_ACTIONS = st.lists(
    st.tuples(st.sampled_from("rrrttaasx"), st.integers(0, 100)), min_size=20, max_size=200
)


@settings(deadline=None, max_examples=300)
@given(partitions(), _ACTIONS)
def test_every_event_is_given_in_order_and_none_that_is_acknowledged_comes_again(
    written: list[Written], actions: list[tuple[str, int]]
) -> None:
    """`x` stores and restarts, so that what was acknowledged before must not come again. Fails when
    `Deliveries.take` calls every event ready; when `progress` has the newest offset; when it has
    nothing beyond; and when the positions are not stored.
    """
    reader = Reader(written)
    for action, which in actions:
        match action:
            case "r":
                reader.read()
            case "t":
                reader.take(which)
            case "a":
                reader.acknowledge(which)
            case "s":
                reader.store()
            case _:
                reader.store()
                reader.restart()
    while len(reader.acknowledged) < len(set(written)):
        for _ in written:
            reader.read()
        assert reader.ready or reader.out, "nothing comes any more, and something is missing"
        reader.take(0)
        reader.acknowledge(0)
    assert sorted(reader.acknowledged) == sorted(set(written))
    assert (len(reader.book), reader.book.waiting) == (0, 0)


@settings(deadline=None)
@given(
    offset=st.integers(0, 2**62),
    positions=st.dictionaries(st.integers(0, 63), st.integers(1, 2**62), max_size=64),
    from_first=st.booleans(),
    beyond=st.sets(st.integers(0, 8191), max_size=200),
)
def test_progress_is_read_back_as_it_was_stored(
    *, offset: int, positions: dict[int, int], from_first: bool, beyond: set[int]
) -> None:
    progress = Progress(offset, positions, from_first, frozenset(offset + at for at in beyond))
    note = progress.note()
    assert Progress.of(note) == progress
    assert len(note.text) < 4096


def test_what_is_too_far_beyond_is_left_out() -> None:
    """A note that Kafka refuses as too long would stop the group."""
    far = Progress(0, {}, from_first=True, beyond=frozenset(range(1, 100_000)))
    assert len(far.note().text) < 1500
    assert Progress.of(far.note()).beyond == frozenset(range(1, 8192))


def test_an_offset_set_with_a_tool_goes_on_with_whatever_comes() -> None:
    for text in ("", "reset by an operator", "passbook/9 first", "passbook/1 first 1=2 ~"):
        progress = Progress.of(Note(42, text))
        assert progress == Progress(42, {}, from_first=False)
        book: Deliveries[str] = Deliveries(progress)
        assert book.place(7, 1000) is Place.NEXT
        book.take(Delivery(42, 7, 1000, "one"))
        assert book.place(7, 1002) is Place.BEYOND
        assert book.place(7, 1000) is Place.REPEATED
