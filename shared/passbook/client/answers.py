"""Waiting for outcomes: one reader of the outcome topic for everything that is outstanding."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple
from uuid import UUID

from passbook.client.errors import OutcomeUnknown
from passbook.client.outcome import Outcome
from passbook.messaging.consumer import ConsumerLost, Record
from passbook.messaging.tail import Tail

_POLL_S: Final = 60.0
_FIRST_RETRY_S: Final = 0.2
_LAST_RETRY_S: Final = 5.0


class _Waiting(NamedTuple):
    request_hash: bytes
    answer: asyncio.Future[Outcome]


class Answers:
    """Hands each outcome to whoever waits for it."""

    def __init__(self, tail: Tail) -> None:
        """Read from `tail`, which is started."""
        self._tail = tail
        self._waiting: dict[bytes, list[_Waiting]] = {}

    @contextmanager
    def expect(self, command_id: UUID, request_hash: bytes) -> Iterator[asyncio.Future[Outcome]]:
        """Give the outcome-to-be of a command that is not sent yet.

        `request_hash` identifies its content: an id that somebody else uses with other content at
        the same time gets an answer of its own.
        """
        key = str(command_id).encode()
        waiting = _Waiting(request_hash.hex().encode(), asyncio.get_running_loop().create_future())
        self._waiting.setdefault(key, []).append(waiting)
        try:
            yield waiting.answer
        finally:
            others = self._waiting[key]
            others.remove(waiting)
            if not others:
                del self._waiting[key]
            waiting.answer.cancel()

    async def run(self) -> None:
        """Read outcomes until cancelled; after a loss of the broker, go on where it was."""
        retry_s = _FIRST_RETRY_S
        while True:
            try:
                self.take(await self._tail.poll(_POLL_S))
                retry_s = _FIRST_RETRY_S
            except ConsumerLost:
                await self._reopen(retry_s)
                retry_s = min(retry_s * 2, _LAST_RETRY_S)

    async def _reopen(self, retry_s: float) -> None:
        await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))
        try:
            await self._tail.start()
        except ConsumerLost:
            # The next poll says so again.
            return

    def take(self, records: Sequence[Record]) -> None:
        """Hand out what somebody waits for and pass over the rest."""
        for record in records:
            for name, value in record.headers:
                if name == "ce_commandid" and value in self._waiting:
                    self._deliver(record, self._waiting[value])

    def _deliver(self, record: Record, waiting: Sequence[_Waiting]) -> None:
        try:
            outcome = Outcome.from_json(record.value)
        except (ValueError, KeyError, TypeError):
            return  # somebody else's record: everybody may publish to a topic without ACLs
        content = dict(record.headers).get("ce_requesthash")
        for one in waiting:
            if one.request_hash == content and not one.answer.done():
                one.answer.set_result(outcome)

    def give_up(self) -> None:
        """Tell everybody who still waits that there is nobody left to read the answer."""
        for key, waiting in self._waiting.items():
            for one in waiting:
                if not one.answer.done():
                    one.answer.set_exception(
                        OutcomeUnknown(UUID(key.decode()), "the client was closed")
                    )
