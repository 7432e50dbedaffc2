"""The command service between stand-ins, and how to ask it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID, uuid4

from passbook.eventstore.cache import AccountCache
from passbook.eventstore.memory import InMemoryEventStore
from passbook.eventstore.snapshots import InMemorySnapshotStore, Snapshot
from passbook.eventstore.store import CommandOutcome, NewEvent
from passbook.messaging.topics import Topics
from services.command_service.answers import AnswerDesk
from services.command_service.engine import CommandService
from tests.support.messages import Message, message
from tests.support.until import until
from tests.unit.services.kafka import CollectingProducer, ScriptedConsumer


class GatedStore(InMemoryEventStore):
    """A store whose appends wait while the gate is closed."""

    def __init__(self) -> None:
        """Start with an open gate."""
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.failure: Exception | None = None

    async def append_batch(
        self,
        expected_heads: Mapping[int, int],
        events: Sequence[NewEvent],
        outcomes: Sequence[CommandOutcome],
    ) -> None:
        """Append as soon as the gate is open."""
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        if self.failure is not None:
            raise self.failure
        await super().append_batch(expected_heads, events, outcomes)

    def record_directly(self, events: Sequence[NewEvent]) -> None:
        """Append as somebody else would, gate or no gate."""
        self._record(events)

    def rewrite(self, event_id: UUID, **fields: Any) -> None:
        """Change a stored event, which stands for code that has learned to read it."""
        for events in (*self._slots, *self._streams.values()):
            for place, event in enumerate(events):
                if event.event_id == event_id:
                    events[place] = event._replace(**fields)


class Bank:
    """A command service and everything around it."""

    def __init__(self, *polls: list[Message], cached: int = 1000, interval: int = 100) -> None:
        """Put it together; `run` starts it."""
        self.store = GatedStore()
        self.consumer = ScriptedConsumer(*polls)
        self.producer = CollectingProducer()
        self.rings = 0
        self.kept: list[list[Snapshot]] = []
        self.snapshots = InMemorySnapshotStore(self.store)
        consumer = cast("Any", self.consumer)
        desk = AnswerDesk(consumer, cast("Any", self.producer), Topics("bank.", 4))
        cache = AccountCache(self.store, cached, self.snapshots, interval=interval)
        self.service = CommandService(
            self.store, cache, consumer, desk, self._ring, lambda some: self.kept.append([*some])
        )

    def _ring(self) -> None:
        self.rings += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Bank"]:
        """Run until the end of the block, in order."""
        stop = asyncio.Event()
        work = asyncio.create_task(self.service.run(stop))
        try:
            yield self
        finally:
            self.store.gate.set()
            stop.set()
            await work

    @property
    def outcomes(self) -> list[dict[str, Any]]:
        """The outcome documents in the order in which they were published."""
        return [
            json.loads(record[1] or b"")
            for topic, record in self.producer.published
            if topic == "bank.outcomes"
        ]

    @property
    def letters(self) -> list[bytes | None]:
        """The values of the dead letters."""
        return [
            record[1] for topic, record in self.producer.published if topic == "bank.commands.dlq"
        ]

    async def answered(self, count: int) -> list[str]:
        """Wait for so many outcomes; return "accepted" or the code of each, in order."""
        await until(lambda: len(self.outcomes) >= count)
        return [
            outcome["error"]["code"] if outcome["error"] else "accepted"
            for outcome in self.outcomes
        ]


def ask(kind: str, account_id: object, command_id: str = "", **data: Any) -> Message:
    """Return a command for an account, with an id of its own unless one is given."""
    fields = {"account_id": str(account_id), **data}
    return message(kind, data=fields, ce_id=command_id or str(uuid4()))
