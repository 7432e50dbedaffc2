"""Snapshots off the hot path: handed over after the append, written by a task of their own.

Nobody waits for them. When they cannot be written, or not as fast as they come, they are dropped:
the next one of the account is as good, and without any the account is replayed.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from passbook.eventstore.snapshots import Snapshot, SnapshotStore, save_if_possible
from passbook.telemetry import SNAPSHOTS_DROPPED

_MOST_WAITING: Final = 2_000
_MOST_AT_ONCE: Final = 200
_STOP_TIMEOUT_S: Final = 2.0


class SnapshotWriter:
    """Writes what it is offered, for as long as its block; at its end, what waits is written first
    if that is soon done.
    """

    def __init__(self, snapshots: SnapshotStore) -> None:
        """Take the store; nothing is written before the block starts."""
        self._snapshots = snapshots
        self._waiting: deque[Snapshot] = deque()
        self._offered = asyncio.Event()
        self._closing = False
        self._writing: asyncio.Task[None] | None = None

    def offer(self, snapshots: Sequence[Snapshot]) -> None:
        """Have snapshots of what is appended written some time; those there is no room for are
        dropped and counted.
        """
        room = max(0, _MOST_WAITING - len(self._waiting))
        self._waiting.extend(snapshots[:room])
        if len(snapshots) > room:
            SNAPSHOTS_DROPPED.inc(len(snapshots) - room)
        self._offered.set()

    async def __aenter__(self) -> Self:
        """Start writing."""
        self._writing = asyncio.create_task(self._write())
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Stop in order, within two seconds; what is not written by then is dropped."""
        assert self._writing is not None
        self._closing = True
        self._offered.set()
        _, late = await asyncio.wait({self._writing}, timeout=_STOP_TIMEOUT_S)
        if late:
            SNAPSHOTS_DROPPED.inc(len(self._waiting))
            self._writing.cancel()
            await asyncio.wait(late)
        else:
            self._writing.result()

    async def _write(self) -> None:
        while self._waiting or not self._closing:
            await self._offered.wait()
            self._offered.clear()
            while self._waiting:
                count = min(len(self._waiting), _MOST_AT_ONCE)
                portion = [self._waiting.popleft() for _ in range(count)]
                await save_if_possible(self._snapshots, portion)
