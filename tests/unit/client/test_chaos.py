"""Subscriptions over a source that fails at random: connections lost while reading, storing and
taking over, members that come and go, workers that are cancelled.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from random import Random
from typing import Final
from uuid import UUID, uuid4

import pytest

from passbook.client import BankUnreachable, Subscription
from passbook.client.source import Revoked, Shared
from passbook.client.testing import FakeBank
from passbook.client.testing.log import FakeMember
from passbook.messaging.consumer import ConsumerLost, Record
from passbook.messaging.member import Note

_ACCOUNTS: Final = 8
_VERSIONS: Final = 40
_BOUND_S: Final = 30.0


class Flaky:
    """A member that loses its connection now and then, before or after the fact."""

    def __init__(self, member: FakeMember, random: Random) -> None:
        self._member = member
        self._random = random
        self.share = member.share
        self.seek = member.seek
        self.stop = member.stop
        self.ends = member.ends

    def _fail(self) -> None:
        if self._random.random() < 0.1:
            raise ConsumerLost("lost")

    async def start(self) -> None:
        self._fail()
        await self._member.start()

    async def committed(self, partitions: Iterable[int]) -> dict[int, Note]:
        self._fail()
        await asyncio.sleep(0)
        return await self._member.committed(partitions)

    async def poll(
        self, partitions: Iterable[int], timeout_s: float
    ) -> tuple[int, dict[int, list[Record]]]:
        self._fail()
        return await self._member.poll(partitions, timeout_s / 100)

    async def commit(self, notes: Mapping[int, Note]) -> bool:
        self._fail()
        await asyncio.sleep(0)
        stored = await self._member.commit(notes)
        self._fail()
        return stored


class World:
    """One group, its members, and what they were given."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.bank = FakeBank()
        self.accounts = [uuid4() for _ in range(_ACCOUNTS)]
        self.given: dict[UUID, list[int]] = defaultdict(list)
        self.busy: dict[UUID, int] = defaultdict(int)
        self.reconnects = 0

    def subscribe(self) -> Subscription:
        member = self.bank._log.member

        def flaky(shared: Shared, revoked: Revoked) -> Flaky:
            return Flaky(member("readers", shared, revoked), self.random)

        return Subscription(
            flaky,
            4,
            types=None,
            from_="beginning",
            on_gap=None,
            max_in_flight=self.random.choice([1, 3, 1000]),
        )

    async def happen(self) -> None:
        """Have all events published, some of them twice."""
        for account_id in self.accounts:
            await self.bank.open_account("Ada", 100, account_id=account_id)
        for _ in range(_VERSIONS - 1):
            for account_id in self.accounts:
                await self.bank.deposit(account_id, 1)
                if self.random.random() < 0.1:
                    self.bank.repeat_last_event()
                await asyncio.sleep(0)

    async def work(self, events: Subscription) -> None:
        async for event in events:
            done = self.given[event.account_id]
            assert event.version <= len(set(done)) + 1, "an event was skipped"
            done.append(event.version)
            for _ in range(self.random.randint(0, 3)):
                await asyncio.sleep(0)
            await event.ack()

    @property
    def complete(self) -> bool:
        return all(set(self.given[one]) == set(range(1, _VERSIONS + 1)) for one in self.accounts)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("passbook.client.reading._FIRST_RETRY_S", 0.001)
    monkeypatch.setattr("passbook.client.reading._LAST_RETRY_S", 0.001)
    monkeypatch.setattr("passbook.client.reading._COMMIT_EVERY_S", 0.002)


@pytest.mark.parametrize("seeds", [range(15), range(15, 30)])
async def test_whatever_fails_nothing_is_lost_and_no_account_skips_an_event(
    seeds: range,
) -> None:
    """Fails when the stored offset is the newest acknowledged one, when positions are not stored
    with it, when every event of an account is ready at once, and when a connection that cannot be
    opened again at once is given up.
    """
    reconnects = 0
    for seed in seeds:
        async with asyncio.timeout(_BOUND_S):
            world = World(Random(seed))
            await _chaos(world)
        reconnects += world.reconnects
    assert reconnects > 10


async def _chaos(world: World) -> None:
    random = world.random
    happening = asyncio.create_task(world.happen())
    members: dict[Subscription, list[asyncio.Task[None]]] = {}
    while not (happening.done() and world.complete):
        action = random.random()
        if not members or (action < 0.05 and len(members) < 3):
            members[world.subscribe()] = []
        events, workers = random.choice(list(members.items()))
        if not workers or action < 0.2:
            workers.append(asyncio.create_task(_until_connected(world, events)))
        elif action < 0.3:
            # What it has in its hands is nobody's until the subscription ends.
            random.choice(workers).cancel()
        elif action < 0.35:
            world.reconnects += events.reconnects
            await _end(events, members.pop(events))
        for _ in range(random.randint(0, 30)):
            await asyncio.sleep(0)
    await happening
    for events, workers in members.items():
        await _end(events, workers)


async def _end(events: Subscription, workers: list[asyncio.Task[None]]) -> None:
    await events.aclose()
    for ended in await asyncio.gather(*workers, return_exceptions=True):
        assert ended is None or isinstance(ended, asyncio.CancelledError), ended


async def _until_connected(world: World, events: Subscription) -> None:
    """Work; a first connection that fails is the caller's to try again."""
    while True:
        try:
            await world.work(events)
        except BankUnreachable:
            await asyncio.sleep(0)
        else:
            return
