"""From what a client reads for itself to what is read for all: no gap and no repeat.

Seen to fail: with a client that joins and goes by the positions of the step before, with one that does
not cut off what it has read beyond the positions at which it joined, and with ids that leave out the
slots of other events.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from passbook.domain.slots import SLOT_COUNT, slot_of
from passbook.eventstore.errors import StoreUnavailable
from passbook.eventstore.memory import InMemoryEventStore
from passbook.eventstore.store import RecordedEvent
from passbook.service import alongside
from services.query_api.backend import Backend
from services.query_api.listening.connections import ABORT
from services.query_api.streaming import catching_up, follower
from services.query_api.streaming.event_frames import Selection
from services.query_api.streaming.follower import Follower
from services.query_api.streaming.resume_tokens import positions_of
from services.query_api.streaming.stream import EventStream
from tests.support.accounts import account_ids, opened, rows
from tests.support.sse import Event, Parser, assert_gapless, numbers
from tests.support.until import until

_SLOTS = (0, 5, 63)
_ACCOUNTS = {slot: next(account_ids(slot)) for slot in _SLOTS}


@dataclass(slots=True)
class World:
    """A log, a follower, and delays that a generator of numbers chooses."""

    random: Random
    store: InMemoryEventStore = field(default_factory=InMemoryEventStore)
    versions: dict[UUID, int] = field(default_factory=dict)
    broken: bool = False

    async def turns(self, most: int = 4) -> None:
        for _ in range(self.random.randint(0, most)):
            await asyncio.sleep(0)

    async def happen(self, count: int) -> None:
        for _ in range(count):
            account_id = _ACCOUNTS[self.random.choice(_SLOTS)]
            account = opened(account_id)
            version = self.versions.get(account_id, 0)
            (row,) = rows(account)
            if version:
                row = row._replace(event_type="AccountFrozen", data='{"reason": "x"}')
            slot = slot_of(account_id)
            head = (await self.store.heads())[slot]
            await self.store.append_batch({slot: head}, [row._replace(version=version + 1)], [])
            self.versions[account_id] = version + 1

    async def read_log(self, after: Mapping[int, int], limit: int) -> list[RecordedEvent]:
        await self.turns()
        if self.broken and self.random.random() < 0.5:
            raise StoreUnavailable
        events = await self.store.read_log(after, self.random.randint(1, limit))
        await self.turns()
        return events

    async def heads(self) -> dict[int, int]:
        heads = await self.store.heads()
        await self.turns()
        return heads

    async def heard(self, _rings: int, _timeout_s: float) -> int:
        await self.turns()
        await asyncio.sleep(0)
        return 0

    def backend(self) -> Backend:
        bell = SimpleNamespace(rings=0, heard=self.heard)
        return cast("Backend", SimpleNamespace(store=self, events_bell=bell))


@dataclass(slots=True)
class Client:
    """Somebody who reads, breaks off, and comes again with the last id."""

    world: World
    follower: Follower
    selection: Selection = field(default_factory=Selection)
    parser: Parser = field(default_factory=Parser)
    events: list[Event] = field(default_factory=list)
    stays: bool = False

    async def visit(self, *, turns: int | None = None) -> None:
        """Read until the stream ends, or leave after some turns of the loop."""
        left = asyncio.Event()
        token = self.parser.last_id
        self.parser = Parser(last_id=token)  # half a frame is lost with the connection

        async def send(message: Any) -> None:
            await self.world.turns()
            if not left.is_set() and message["type"] == "http.response.body":
                self.events += self.parser.feed(message["body"])

        async def leave() -> None:
            if turns is not None:
                for _ in range(turns):
                    await asyncio.sleep(0)
                left.set()

        async def receive() -> dict[str, str]:
            await left.wait()
            return {"type": "http.disconnect"}

        positions = positions_of(token) if token else [0] * SLOT_COUNT
        stream = EventStream(self.follower, self.selection, positions)
        async with alongside(leave()):
            scope = {"type": "http", "extensions": {ABORT: {"abort": left.set}}}
            await stream(scope, receive, send)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 2**32), broken=st.booleans())
def test_whoever_comes_and_goes_gets_every_event_once(*, seed: int, broken: bool) -> None:
    """The client leaves in the middle of anything and comes again; others stay."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(_come_and_go(Random(seed), broken=broken))


async def _come_and_go(random: Random, *, broken: bool) -> None:
    world = World(random, broken=broken)
    await world.happen(random.randint(0, 30))
    followed = Follower(world.backend)
    stopping = asyncio.Event()
    clients = [Client(world, followed) for _ in range(3)]
    only = Client(world, followed, Selection(accounts=frozenset({_ACCOUNTS[5]})))

    async def happening() -> None:
        for _ in range(random.randint(1, 12)):
            await world.happen(random.randint(1, 5))
            await world.turns(20)

    async def living(client: Client) -> None:
        for _ in range(random.randint(0, 4)):
            await client.visit(turns=random.randint(1, 60))
            await world.turns(20)
        client.stays = True
        await client.visit()

    # Small steps, so that there are many of them; a look at the queue instead of a wait.
    with (
        patch.object(catching_up, "_REACH", random.choice((0, 2, 1000))),
        patch.object(catching_up, "_AT_ONCE", random.choice((1, 6, 256))),
        patch.object(catching_up, "_RETRY_S", 0.0),
        patch.object(follower, "_FIRST_RETRY_S", 0.0),
        patch.object(follower, "_BATCH", random.choice((1, 3, 64))),
    ):
        async with asyncio.TaskGroup() as group:
            group.create_task(followed.run(stopping))
            for client in (*clients, only):
                group.create_task(living(client))
            await happening()
            heads = await world.store.heads()
            there = {slot: head for slot, head in heads.items() if head}
            await until(
                lambda: (
                    all(client.stays and _ends(client.events) == there for client in clients)
                    and only.stays
                    and _ends(only.events) == _only(there)
                )
            )
            world.broken = False
            stopping.set()
    for client in clients:
        assert_gapless(client.events)
        assert _ends(client.events) == there
    assert_gapless(only.events)
    assert _ends(only.events) == _only(there)


def _ends(events: list[Event]) -> dict[int, int]:
    return {slot: came[-1] for slot, came in numbers(events).items()}


def _only(heads: Mapping[int, int]) -> dict[int, int]:
    return {slot: head for slot, head in heads.items() if slot == 5}
