"""Several members of one group, and members that come and go."""

import asyncio
from collections import defaultdict
from uuid import UUID, uuid4

from passbook.client import EventsMissing, Subscription
from tests.conformance.client.stage import Stage, accounts_in_slot, asked, take
from tests.support.until import until


class Work:
    """What members of a group did together."""

    def __init__(self) -> None:
        self.done: dict[UUID, list[int]] = defaultdict(list)
        self.by: dict[str, int] = defaultdict(int)

    async def run(self, name: str, events: Subscription, pause: asyncio.Event) -> None:
        """Work until the subscription ends; in the middle of one event wait for `pause`."""
        async for event in events:
            self.done[event.account_id].append(event.version)
            self.by[name] += 1
            if self.by[name] == 150:
                await pause.wait()
            await event.ack()

    @property
    def total(self) -> int:
        return sum(map(len, self.done.values()))


async def test_members_that_come_and_go_lose_nothing_and_repeat_only_what_was_not_acknowledged(
    stage: Stage,
) -> None:
    """Fails (a whole partition comes twice) when `_revoked` does not store what is acknowledged."""
    accounts = [account for slot in range(4) for account in accounts_in_slot(slot, 5)]
    await stage.opened(*accounts)
    for account_id in accounts:
        await stage.deposits(account_id, 19)
    work, pause, none = Work(), asyncio.Event(), asyncio.Event()
    none.set()
    async with asyncio.TaskGroup() as group:
        first = stage.bank.subscribe(group="readers")
        group.create_task(work.run("first", first, pause))
        await until(lambda: work.total == 150)
        second = stage.bank.subscribe(group="readers")
        group.create_task(work.run("second", second, none))
        await until(lambda: work.by["second"] > 0, 20)
        pause.set()
        await until(lambda: work.by["first"] > 150, 20)
        await first.aclose()
        await until(lambda: _all(work, accounts, 20), 20)
        await second.aclose()
    for account_id in accounts:
        versions = work.done[account_id]
        assert list(dict.fromkeys(versions)) == list(range(1, 21))
    # What the first one had in its hands, when its partition went to the second.
    assert work.total - 400 <= 1


def _all(work: Work, accounts: list[UUID], count: int) -> bool:
    return all(work.done[one] and work.done[one][-1] == count for one in accounts)


async def test_what_is_in_somebodys_hands_does_not_come_again_when_its_partition_comes_back(
    stage: Stage,
) -> None:
    """All partitions are taken away when a member joins, and half of them come back at once. Fails
    (all four come again) when `_take_over_partition` does not resume.
    """
    accounts = [account for slot in range(4) for account in accounts_in_slot(slot, 1)]
    await stage.opened(*accounts)
    async with stage.bank.subscribe(group="readers") as events:
        out = await take(events, 4, ack=False)
        async with stage.bank.subscribe(group="readers") as visitor:
            visited = {event.account_id for event in await take(visitor, 2, ack=False)}
            await until(lambda: len(_live(events)) == 2, 20)
        await until(lambda: len(_live(events)) == 4, 20)
        for event in out:
            await event.ack()
        for account_id in accounts:
            await stage.deposits(account_id)
        rest = {(event.account_id, event.version) for event in await take(events, 6)}
    again = {(account_id, 1) for account_id in visited}
    assert rest == again | {(account_id, 2) for account_id in accounts}


def _live(subscription: Subscription) -> list[int]:
    partitions = subscription._reading._partitions
    return [number for number, partition in partitions.items() if partition.live]


async def test_what_another_has_gone_on_with_is_not_acknowledged_by_the_former_one(
    stage: Stage,
) -> None:
    one, other = accounts_in_slot(2, 1), accounts_in_slot(3, 1)
    await stage.opened(*one, *other)
    await stage.deposits(one[0], 3)
    await stage.deposits(other[0], 3)
    async with stage.bank.subscribe(group="readers") as events:
        late = await take(events, 2, ack=False)
        visitor = stage.bank.subscribe(group="readers")
        taken = await take(visitor, 4)
        await visitor.aclose()
        await until(lambda: len(_live(events)) == 4, 20)
        for event in late:
            await event.ack()
        await stage.deposits(taken[0].account_id)
        rest = await take(events, 4)
    versions = {event.version for event in rest if event.account_id == taken[0].account_id}
    assert [event.version for event in taken] == [1, 2, 3, 4]
    assert versions == {5}


async def test_a_member_that_missed_a_turn_leaves_alone_what_another_has_done_meanwhile(
    stage: Stage,
) -> None:
    """It is held up in `on_gap` while a visitor comes and goes. Fails (what waits is handed out) when
    `_suspend` does nothing, and (what the visitor did comes again) when books are kept whatever is
    stored.
    """
    gap, released = asyncio.Event(), asyncio.Event()

    async def hold(_: EventsMissing) -> None:
        gap.set()
        await released.wait()

    (elsewhere,) = accounts_in_slot(0, 1)
    accounts = [account for slot in (0, 1, 2, 3) for account in accounts_in_slot(slot, 1)]
    await stage.opened(*accounts)
    for account_id in accounts:
        await stage.deposits(account_id, 2)
    async with stage.bank.subscribe(group="readers", on_gap=hold, max_in_flight=3) as events:
        late = await take(events, 3, ack=False)
        stage.origin.lose_next_event()
        await stage.opened(elsewhere)
        await stage.deposits(elsewhere)
        await asyncio.wait_for(gap.wait(), 20)
        async with stage.bank.subscribe(group="readers", on_gap=lambda _: None) as visitor:
            first = await take(visitor, 1, ack=False)
            await late[0].ack()
            async with asked(events) as waiting:
                await asyncio.wait([waiting], timeout=0.3)
                assert not waiting.done()
            await first[0].ack()
            done = [*first, *await take(visitor, 5)]
        newest = {(account_id, 4) for account_id in accounts}
        released.set()
        for event in late[1:]:
            await event.ack()
        for account_id in accounts:
            await stage.deposits(account_id)
        rest: list[tuple[UUID, int]] = []
        while not newest.issubset(rest):
            rest += [(event.account_id, event.version) for event in await take(events, 1)]
    visited = {(event.account_id, event.version) for event in done}
    assert visited.isdisjoint(rest)
    assert len(rest) == len(set(rest))


async def test_the_end_of_the_client_ends_its_subscriptions(stage: Stage) -> None:
    await stage.opened(uuid4())
    events = stage.bank.subscribe(group="readers")
    await take(events, 1)
    await stage.bank.__aexit__(None, None, None)
    assert events.closed
    assert [event async for event in events] == []
