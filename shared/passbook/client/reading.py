"""Behind a subscription: reads the group's partitions and stores how far they are acknowledged.

A partition's books are kept while partitions are being shared out anew, because most of them come
back: when what is stored of it is still what this reader has stored, nobody has gone on with it
meanwhile, and it goes on where it was, with what is in somebody's hands. Otherwise its books are
closed, and acknowledgements of what was handed out change nothing any more.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from typing import Final

from passbook.client.deliveries import Deliveries
from passbook.client.errors import SubscriptionStopped
from passbook.client.intake import Intake, Partition
from passbook.client.progress import Progress
from passbook.client.source import OpenSource, Source
from passbook.messaging.consumer import ConsumerLost, Record
from passbook.messaging.member import Note, Refused, Share

_POLL_S: Final = 0.5
_COMMIT_EVERY_S: Final = 0.5
_LAST_COMMIT_S: Final = 2.0
_FIRST_RETRY_S: Final = 0.2
_LAST_RETRY_S: Final = 5.0


class Reading:
    """Keeps an `Intake` supplied until it is stopped."""

    def __init__(
        self, open_source: OpenSource, intake: Intake, nudged: asyncio.Event, *, from_first: bool
    ) -> None:
        """Read from what `open_source` opens, and look at once what has changed when `nudged` is
        set. `from_first` says where a group begins that is new.
        """
        self.reconnects = 0
        self.begun = asyncio.Event()
        """Set when this member first knows what it works on, and where that begins."""
        self._open: Callable[[], Source] = partial(open_source, nudged.set, self._revoked)
        self._source: Source
        self._intake = intake
        self._nudged = nudged
        self._from_first = from_first
        self._share: Share | None = None
        self._partitions: dict[int, Partition] = {}
        self._commit_at = 0.0
        self._retry_s = _FIRST_RETRY_S

    async def start(self) -> None:
        """Connect.

        Raises:
            ConsumerLost, TopicMismatch: see `Member.start`.
        """
        self._source = self._open()
        await self._source.start()

    async def run(self) -> None:
        """Read until cancelled; after a loss of the broker, go on where it was."""
        try:
            while True:
                with suppress(ConsumerLost):
                    await self._read()
                self._suspend()
                await self._source.stop()
                await self._reconnect()
        except Refused as error:
            self._intake.fail(SubscriptionStopped(str(error)))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the subscriber's to know
            self._intake.fail(error)

    async def stop(self) -> None:
        """Store what is acknowledged, and leave the group, within seven seconds."""
        await self._commit_in_time()
        for partition in self._partitions.values():
            self._intake.close(partition)
        self._partitions.clear()
        await self._source.stop()

    async def _reconnect(self) -> None:
        """Return when there is a connection again, however long that takes."""
        while True:
            await asyncio.sleep(self._retry_s * random.uniform(0.5, 1.0))
            self._retry_s = min(2 * self._retry_s, _LAST_RETRY_S)
            try:
                await self.start()
            except ConsumerLost:
                continue
            self.reconnects += 1
            return

    async def _read(self) -> None:
        while True:
            self._nudged.clear()
            share = self._source.share()
            if share is None:
                # Nothing comes, but what keeps this member from joining is said here.
                await self._poll(())
                continue
            if share is not self._share and not await self._take_over(share):
                await self._pause()
                continue
            if time.monotonic() >= self._commit_at:
                await self._commit()
            await self._take_in(share)

    async def _take_over(self, share: Share) -> bool:
        """Begin or go on with the partitions that this member has now; False when it has others."""
        stored = await self._source.committed(share.partitions)
        beginning = await self._beginning(share.partitions - stored.keys())
        # Stored before anything is read: "now" must not be a later one after a crash.
        if beginning and not await self._source.commit(beginning):
            return False
        if self._source.share() is not share:
            return False
        for number in self._partitions.keys() - share.partitions:
            self._intake.close(self._partitions.pop(number))
        for number, note in (stored | beginning).items():
            self._take_over_partition(number, note)
        self._source.seek({p.number: p.book.next_offset for p in self._partitions.values()})
        self._share = share
        self._retry_s = _FIRST_RETRY_S
        self.begun.set()
        return True

    async def _beginning(self, partitions: Collection[int]) -> dict[int, Note]:
        """Return where partitions begin of which nothing is stored."""
        if not partitions or self._from_first:
            return {number: Progress(0, {}, from_first=True).note() for number in partitions}
        ends = await self._source.ends(partitions)
        return {
            number: Progress(offset, {}, from_first=False).note() for number, offset in ends.items()
        }

    def _take_over_partition(self, number: int, note: Note) -> None:
        known = self._partitions.get(number)
        if known is not None and note in (known.stored, known.sent):
            known.stored = note
            self._intake.resume(known)
            return
        if known is not None:
            self._intake.close(known)
        self._partitions[number] = Partition(number, Deliveries(Progress.of(note)), note)

    async def _take_in(self, share: Share) -> None:
        wanted = [
            partition.number
            for partition in self._partitions.values()
            if not (partition.full or partition.halted or self._intake.failure)
        ]
        if not wanted:
            await self._pause()
            return
        generation, batches = await self._poll(wanted)
        if generation != share.generation or self._source.share() is not share:
            return
        for number, records in batches.items():
            await self._intake.take(self._partitions[number], records)

    async def _poll(self, partitions: Collection[int]) -> tuple[int, dict[int, list[Record]]]:
        """Read until there is something, or something else has changed."""
        poll = asyncio.create_task(self._source.poll(partitions, _POLL_S))
        nudge = asyncio.create_task(self._nudged.wait())
        try:
            await asyncio.wait(
                {poll, nudge}, timeout=2 * _POLL_S, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            poll.cancel()
            nudge.cancel()
            await asyncio.wait({poll, nudge})
        return (-1, {}) if poll.cancelled() else poll.result()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_S):
                await self._nudged.wait()

    async def _revoked(self) -> None:
        """Store what is acknowledged while that is still ours to say. Nothing may be raised here."""
        await self._commit_in_time()
        self._suspend()
        self._nudged.set()

    def _suspend(self) -> None:
        self._share = None
        for partition in self._partitions.values():
            partition.live = False

    async def _commit_in_time(self) -> None:
        with suppress(ConsumerLost, TimeoutError):
            async with asyncio.timeout(_LAST_COMMIT_S):
                await self._commit()

    async def _commit(self) -> None:
        self._commit_at = time.monotonic() + _COMMIT_EVERY_S
        notes = {
            partition.number: note
            for partition in self._partitions.values()
            if partition.live and (note := partition.book.progress.note()) != partition.stored
        }
        if not notes:
            return
        changed = [self._partitions[number] for number in notes]
        for partition in changed:
            partition.sent = notes[partition.number]
        if await self._source.commit(notes):
            for partition in changed:
                partition.stored = notes[partition.number]
