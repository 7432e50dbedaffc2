"""A topic of events in memory, and groups that read it: what a subscription sees of Kafka."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from passbook.client.source import Revoked, Shared
from passbook.messaging.consumer import Record
from passbook.messaging.member import Note, Share
from passbook.messaging.producer import Record as Outgoing

_AT_ONCE: Final = 250
_TOPIC: Final = "bank.events"


class FakeLog:
    """Partitions of records, and groups by their names."""

    def __init__(self, partitions: int) -> None:
        """Start empty."""
        self.partitions: list[list[Record]] = [[] for _ in range(partitions)]
        self._groups: dict[str, _Group] = {}
        self._arrived = asyncio.Event()

    def append(self, partition: int, record: Outgoing) -> None:
        """Publish a record."""
        key, value, headers = record
        records = self.partitions[partition]
        records.append(
            Record(
                topic=_TOPIC,
                partition=partition,
                offset=len(records),
                timestamp=0,
                timestamp_type=0,
                key=key,
                value=value,
                checksum=None,
                serialized_key_size=len(key or b""),
                serialized_value_size=len(value or b""),
                headers=tuple(headers),
            )
        )
        self._arrived.set()

    def member(self, group: str, shared: Shared, revoked: Revoked) -> "FakeMember":
        """Return a member-to-be of a group."""
        known = self._groups.setdefault(group, _Group(len(self.partitions)))
        return FakeMember(self, known, shared, revoked)

    async def arrival(self, timeout_s: float) -> None:
        """Return when something is published, or after the timeout."""
        self._arrived.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            return


class _Group:
    """Who shares the partitions, and what is stored of each."""

    def __init__(self, partitions: int) -> None:
        self.stored: dict[int, Note] = {}
        self._partitions = partitions
        self._members: list[FakeMember] = []
        self._generation = 0
        self._sharing = asyncio.Lock()

    async def join(self, member: "FakeMember") -> None:
        async with self._sharing:
            await self._revoke()
            self._members.append(member)
            self._share_out()

    async def leave(self, member: "FakeMember") -> None:
        async with self._sharing:
            if member not in self._members:
                return
            self._members.remove(member)
            await self._revoke()
            self._share_out()

    async def _revoke(self) -> None:
        for member in self._members:
            await member.give_up()

    def _share_out(self) -> None:
        self._generation += 1
        for place, member in enumerate(self._members):
            numbers = range(place, self._partitions, len(self._members))
            member.get(Share(self._generation, frozenset(numbers)))


class FakeMember:
    """Reads the partitions that the group gives to it, as `passbook.messaging.member.Member` does."""

    def __init__(self, log: FakeLog, group: _Group, shared: Shared, revoked: Revoked) -> None:
        """Belong to nothing yet."""
        self._log = log
        self._group = group
        self._shared = shared
        self._revoked = revoked
        self._share: Share | None = None
        self._generation = 0
        self._next: dict[int, int] = {}

    async def start(self) -> None:
        """Join."""
        await self._group.join(self)

    async def stop(self) -> None:
        """Leave."""
        await self._group.leave(self)

    async def give_up(self) -> None:
        """Have the partitions taken away."""
        await self._revoked()
        self._share = None

    def get(self, share: Share) -> None:
        """Have partitions."""
        self._share, self._generation = share, share.generation
        self._shared()

    def share(self) -> Share | None:
        """Return what this member works on."""
        return self._share

    async def committed(self, partitions: Iterable[int]) -> dict[int, Note]:
        """Return what is stored."""
        stored = self._group.stored
        return {number: stored[number] for number in partitions if number in stored}

    async def ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return where partitions end now."""
        return {number: len(self._log.partitions[number]) for number in partitions}

    def seek(self, offsets: Mapping[int, int]) -> None:
        """Read on from here."""
        self._next |= offsets

    async def poll(
        self, partitions: Iterable[int], timeout_s: float
    ) -> tuple[int, dict[int, list[Record]]]:
        """Return the next records."""
        wanted = list(partitions)
        if not any(self._unread(number) for number in wanted):
            await self._log.arrival(timeout_s)
        batches = {number: records for number in wanted if (records := self._unread(number))}
        self._next |= {number: records[-1].offset + 1 for number, records in batches.items()}
        return self._generation, batches

    def _unread(self, number: int) -> list[Record]:
        at = self._next.get(number, 0)
        return self._log.partitions[number][at : at + _AT_ONCE]

    async def commit(self, notes: Mapping[int, Note]) -> bool:
        """Store notes of partitions that are this member's."""
        if self._share is None or not notes.keys() <= self._share.partitions:
            return False
        self._group.stored |= notes
        return True
