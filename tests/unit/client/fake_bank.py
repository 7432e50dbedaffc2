"""A bank that answers commands from a table instead of Kafka and PostgreSQL."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from passbook.messaging.commands import CommandMessage, decode
from passbook.messaging.consumer import ConsumerLost, Record
from passbook.messaging.outcomes import document, encode, outcome_id
from passbook.messaging.producer import Producer, PublishFailed
from passbook.messaging.producer import Record as Outgoing
from passbook.messaging.tail import Tail


class FakeBank:
    """Stands where Kafka and everything behind it stand. `silent` answers nothing; `broken` counts
    how many publications fail from now on; `gate` holds them back.
    """

    def __init__(self) -> None:
        self.published: list[tuple[int, CommandMessage]] = []
        self.batches: list[int] = []
        self.requests = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.producers = 0
        self.tail_starts = 0
        self.silent = False
        self.broken = 0
        self._records: asyncio.Queue[Record | Exception] = asyncio.Queue()

    def take(self, records: Mapping[int, Iterable[Outgoing]]) -> None:
        if self.broken:
            self.broken -= 1
            raise PublishFailed("broken")
        commands = []
        for partition, rows in records.items():
            for key, value, headers in rows:
                message = decode(key, value, headers)
                assert isinstance(message, CommandMessage)
                commands.append((partition, message))
        self.published += commands
        self.batches.append(len(commands))
        if not self.silent:
            for _, message in commands:
                self.answer(message.command_id, message.account_id, content=message.request_hash)

    def answer(
        self,
        command_id: UUID,
        account_id: UUID,
        code: str | None = None,
        content: bytes | None = None,
    ) -> None:
        """Publish an outcome: accepted, or rejected with `code`. It is about `content`, or about
        what was published first with this id.
        """
        outcome = document(command_id, account_id, 7, (), code, code and "because")
        if content is None:
            known = (m.request_hash for _, m in self.published if m.command_id == command_id)
            content = next(known, b"")
        self.publish(
            *encode(
                outcome,
                ce_id=outcome_id(command_id),
                decided_at=b"2026-01-31T12:00:00Z",
                request_hash=content,
                context={},
            )
        )

    def publish(
        self, key: bytes | None, value: bytes, headers: Iterable[tuple[str, bytes]]
    ) -> None:
        """Put any record into the topic of outcomes."""
        record = SimpleNamespace(key=key, value=value, headers=tuple(headers))
        self._records.put_nowait(cast("Record", record))

    def lose_reader(self) -> None:
        """Fail the next read."""
        self._records.put_nowait(ConsumerLost("lost"))

    async def read(self) -> list[Record]:
        found = [await self._records.get()]
        while not self._records.empty():
            found.append(self._records.get_nowait())
        for one in found:
            if isinstance(one, Exception):
                raise one
        return cast("list[Record]", found)


class FakeProducer(Producer):
    def __init__(self, bank: FakeBank) -> None:
        self._bank = bank

    async def start(self) -> None:
        self._bank.producers += 1

    async def stop(self) -> None:
        """Nothing is open."""

    async def publish(
        self, topic: str, records: Mapping[int, Iterable[Outgoing]]
    ) -> dict[int, int]:
        assert topic == "bank.commands"
        self._bank.requests += 1
        await asyncio.sleep(0)  # let others post meanwhile, as a request would
        await self._bank.gate.wait()
        self._bank.take(records)
        return {}


class FakeTail(Tail):
    def __init__(self, bank: FakeBank) -> None:
        self._bank = bank

    async def start(self) -> None:
        self._bank.tail_starts += 1

    async def stop(self) -> None:
        """Nothing is open."""

    async def poll(self, timeout_s: float) -> list[Record]:
        del timeout_s
        return await self._bank.read()


def stand_in(bank: FakeBank, cls: type[Any]) -> Callable[..., Any]:
    """Return what makes a fake where the client makes a real one."""
    return lambda *_arguments, **_options: cls(bank)
