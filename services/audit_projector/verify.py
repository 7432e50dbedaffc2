"""Verification: is the audit log the chain it claims to be, and does the event store agree with it?

What is compared ends at the position of the audit projection; newer events are no evidence yet.
Kinds of differences:

    altered        an entry does not have the hash of its content, or the event has other content
    missing        an event has no entry, or neither side has a number that there must be
    not_in_store   an entry has no event
    inserted       an entry that the projection has not written: its number is over the position
    reordered      entry and event of one number are not the same event, and each of them has another
                   number on the other side
    chain_broken   an entry does not name the hash of the one before it
    rewritten      the entry is not the one that a signed checkpoint names: it, or some before it,
                   were written anew, with hashes that fit
    cut_off        a signed checkpoint names a number behind the end: the tail is gone, and whatever
                   else knew of it says nothing
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from passbook.domain.slots import SLOT_COUNT
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.archive.records import PATIENCE
from passbook.messaging.cloudevents import format_time
from services.audit_projector.chain import GENESIS
from services.audit_projector.checkpoints import Checkpoint
from services.audit_projector.sides import (
    ROWS_AT_ONCE,
    Entry,
    Event,
    both_sides,
    disagreements,
    stored,
)

_POSITIONS: Final = "SELECT slot, slot_seq FROM projections.positions WHERE projection = 'audit'"
_HEADS: Final = "SELECT slot, head FROM eventstore.slots"
_HAS_ENTRY: Final = "SELECT EXISTS (SELECT FROM audit.entries WHERE slot = $1 AND event_id = $2)"

OnProgress = Callable[[int, int], None]
"""Told (entries compared so far, of how many)."""

Signed = Mapping[int, Mapping[bytes, str]]
"""Number → hash that its entry must have → when that was signed, of one slot."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing in a slot that is not as it must be; nothing after it proves anything."""

    slot: int
    slot_seq: int
    kind: str
    detail: str


@dataclass(slots=True)
class Verification:
    """What was found: at most one difference a slot, in the order of slots.

    `entries` were compared, in `slots` that have any; `newer` events are not in the audit log yet;
    `confirmed` entries are those that a checkpoint names.
    """

    entries: int = 0
    slots: int = 0
    newer: int = 0
    confirmed: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether both sides tell the same story."""
        return not self.differences


async def verify(
    entries: asyncpg.Connection,
    events: asyncpg.Connection,
    on_progress: OnProgress,
    checkpoints: Iterable[Checkpoint] = (),
    archive: Archive | None = None,
) -> Verification:
    """Compare the audit log, read through `entries`, with the event store, read through `events`,
    `archive` behind it, and with the heads that were signed.

    Needs two connections, also when both sides are in one database. Whether the checkpoints can be
    trusted is for the caller to know.
    """
    found = Verification()
    signed = _signed(checkpoints)
    async with (
        # Positions and entries of one moment; the events up to there cannot change honestly.
        entries.transaction(isolation="repeatable_read", readonly=True),
        events.transaction(isolation="repeatable_read", readonly=True),
    ):
        for connection in (entries, events):
            await connection.execute(PATIENCE)
        positions: dict[int, int] = dict(await entries.fetch(_POSITIONS))
        heads: dict[int, int] = dict(await events.fetch(_HEADS))
        for slot in range(SLOT_COUNT):
            comparison = _Comparison(
                slot, positions.get(slot, 0), signed.get(slot, {}), entries, events, archive
            )
            async for count in comparison.run():
                on_progress(found.entries + count, sum(positions.values()))
            found.entries += comparison.entries
            found.slots += comparison.entries > 0
            found.confirmed += comparison.confirmed
            found.newer += max(0, heads.get(slot, 0) - positions.get(slot, 0))
            if comparison.difference is not None:
                found.differences.append(comparison.difference)
    return found


def _signed(checkpoints: Iterable[Checkpoint]) -> dict[int, dict[int, dict[bytes, str]]]:
    signed: dict[int, dict[int, dict[bytes, str]]] = defaultdict(lambda: defaultdict(dict))
    for checkpoint in checkpoints:
        when = format_time(checkpoint.created_at)
        for slot, head in enumerate(checkpoint.heads):
            if head.slot_seq:
                signed[slot][head.slot_seq].setdefault(head.hash, when)
    return signed


class _Wrong(Exception):
    """`kind` and `detail` of a difference."""


class _Comparison:
    """The comparison of one slot up to a position. `difference` is known when `run` has ended."""

    def __init__(  # noqa: PLR0913 - a slot, both sides of it, and what was signed
        self,
        slot: int,
        position: int,
        signed: Signed,
        entries: asyncpg.Connection,
        events: asyncpg.Connection,
        archive: Archive | None,
    ) -> None:
        self.entries = 0
        self.confirmed = 0
        self.difference: Difference | None = None
        self._slot = slot
        self._position = position
        self._signed = signed
        self._audit = entries
        self._store = events
        self._archive = archive
        self._next = 1
        self._hash = GENESIS

    async def run(self) -> AsyncIterator[int]:
        """Compare to the end or to the first difference; yield how many entries, now and then."""
        number = 0
        try:
            async with aclosing(
                both_sides(self._audit, self._store, self._slot, self._position, self._archive)
            ) as numbers:
                async for number, entry, event in numbers:
                    self._contiguous(number)
                    await self._compare(number, entry, event)
                    if number % ROWS_AT_ONCE == 0:
                        yield self.entries
            self._contiguous(self._position + 1)
            self._reaches_signed_end()
        except _Wrong as wrong:
            kind, detail = wrong.args
            at = self._next if kind in {"missing", "cut_off"} else number
            self.difference = Difference(self._slot, at, kind, detail)
        yield self.entries

    def _contiguous(self, number: int) -> None:
        """A number that is gone from both sides would leave no trace but the hole."""
        if self._next < min(number, self._position + 1):
            raise _Wrong("missing", "neither side has this number")

    def _reaches_signed_end(self) -> None:
        """A tail that is gone with the position has left no other trace."""
        if (last := max(self._signed, default=0)) > self._position:
            (when, *_) = self._signed[last].values()
            raise _Wrong("cut_off", f"the checkpoint of {when} names number {last}")

    async def _compare(self, number: int, entry: Entry | None, event: Event | None) -> None:
        if entry is None:
            raise _Wrong("missing", "the event has no entry")
        self.entries += 1
        if number > self._position:
            raise _Wrong("inserted", f"the projection has written up to {self._position} only")
        if event is None:
            raise _Wrong("not_in_store", "the entry has no event")
        if entry.event_id != event.event_id:
            await self._identify(entry, event)
        if entry.content_hash(self._slot) != entry.hash:
            raise _Wrong("altered", "the entry does not have the hash of its content")
        if entry.prev_hash != self._hash:
            raise _Wrong("chain_broken", "the entry does not name the hash of the one before it")
        if others := disagreements(entry, event):
            raise _Wrong("altered", f"the event in the store has another {' and '.join(others)}")
        for digest, when in self._signed.get(number, {}).items():
            if entry.hash != digest:
                raise _Wrong("rewritten", f"the checkpoint of {when} names another entry")
            self.confirmed += 1
        self._next = number + 1
        self._hash = entry.hash

    async def _identify(self, entry: Entry, event: Event) -> None:
        """Tell what happened where the two sides of a number are not the same event."""
        has_event = await stored(
            self._store, self._slot, entry.event_id, self._position, self._archive
        )
        has_entry = await self._audit.fetchval(_HAS_ENTRY, self._slot, event.event_id)
        if has_event and has_entry:
            raise _Wrong("reordered", "entry and event have other numbers on the other side")
        if has_event:
            raise _Wrong("missing", "the event has no entry; that of another one has its number")
        if has_entry:
            raise _Wrong("not_in_store", "the entry has no event; another one has its number")
