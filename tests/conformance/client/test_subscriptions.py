"""What a subscriber gets, in what order, and how often."""

import asyncio
from collections import defaultdict
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from passbook.client import Subscription
from passbook.domain.events import MoneyDeposited
from passbook.domain.slots import slot_of
from tests.conformance.client.stage import Stage, accounts_in_slot, asked, take
from tests.support.until import until

ACCOUNT = UUID("0199d5d0-0000-7000-8000-000000000001")


async def test_events_arrive_typed_and_with_their_place(stage: Stage) -> None:
    command_id = uuid4()
    await stage.opened(ACCOUNT)
    await stage.origin.deposit(
        ACCOUNT, "20.00", "salary", command_id=command_id, actor="ada", correlation_id="c-1"
    )
    await stage.carry()
    async with stage.bank.subscribe(group="readers") as events:
        opened, deposited = await take(events, 2)
    assert [opened.event, deposited.event] == stage.origin.history(ACCOUNT)
    assert isinstance(deposited.event, MoneyDeposited)
    assert (deposited.event.amount, deposited.event.reference) == (Decimal("20.00"), "salary")
    slot = slot_of(ACCOUNT)
    assert (opened.slot, opened.slot_seq, opened.version) == (slot, 1, 1)
    assert (deposited.slot, deposited.slot_seq, deposited.version) == (slot, 2, 2)
    assert (deposited.account_id, deposited.event_type) == (ACCOUNT, "MoneyDeposited")
    assert deposited.schema_version == 2
    assert (deposited.command_id, deposited.actor, deposited.correlation_id) == (
        command_id,
        "ada",
        "c-1",
    )
    assert (opened.actor, opened.correlation_id) == (None, None)
    assert deposited.recorded_at == deposited.event.occurred_at
    assert (deposited.partition, deposited.offset) == (slot % 4, opened.offset + 1)


async def test_what_was_acknowledged_does_not_come_again_and_the_rest_does(stage: Stage) -> None:
    await stage.opened(ACCOUNT)
    await stage.deposits(ACCOUNT, 4)
    async with stage.bank.subscribe(group="readers") as events:
        await take(events, 2)
        await take(events, 1, ack=False)
    async with stage.bank.subscribe(group="readers") as events:
        assert [event.version for event in await take(events, 3)] == [3, 4, 5]
    async with stage.bank.subscribe(group="others") as events:
        assert [event.version for event in await take(events, 5)] == [1, 2, 3, 4, 5]


async def test_exactly_what_was_not_acknowledged_comes_again_whatever_the_order(
    stage: Stage,
) -> None:
    """Fails (the first and third are lost) when `Deliveries.progress` has the newest acknowledged
    offset, and (all come again) when nothing is noted of those beyond the first that is not.
    """
    await stage.opened(*accounts_in_slot(7, 5))
    async with stage.bank.subscribe(group="readers") as events:
        _, second, _, fourth, _ = await take(events, 5, ack=False)
        await fourth.ack()
        await second.ack()
    async with stage.bank.subscribe(group="readers") as events:
        assert [event.slot_seq for event in await take(events, 3)] == [1, 3, 5]
        await stage.opened(*accounts_in_slot(7, 1))
        assert [event.slot_seq for event in await take(events, 1)] == [6]


async def test_one_reader_gets_every_partition_in_its_order(stage: Stage) -> None:
    """Also where accounts wait for each other. Fails (4 and 5 come before 2) when ready events are
    handed out in the order in which they became ready.
    """
    one, other = accounts_in_slot(7, 2)
    await stage.opened(one)
    await stage.deposits(one, 2)
    await stage.opened(other)
    await stage.deposits(other, 2)
    async with stage.bank.subscribe(group="readers") as events:
        assert [event.slot_seq for event in await take(events, 6)] == [1, 2, 3, 4, 5, 6]


async def test_event_of_an_account_waits_until_the_one_before_it_is_acknowledged(
    stage: Stage,
) -> None:
    """Fails (the deposit comes first) when `Deliveries.take` calls everything ready."""
    one, other = accounts_in_slot(7, 2)
    await stage.opened(one)
    await stage.deposits(one)
    await stage.opened(other)
    async with stage.bank.subscribe(group="readers") as events:
        opened, others = await take(events, 2, ack=False)
        assert (opened.account_id, others.account_id) == (one, other)
        async with asked(events) as waiting:
            await opened.ack()
            assert (await waiting).version == 2


async def test_no_more_than_max_in_flight_are_out(stage: Stage) -> None:
    await stage.opened(*[uuid4() for _ in range(8)])
    async with stage.bank.subscribe(group="readers", max_in_flight=3) as events:
        out = await take(events, 3, ack=False)
        async with asked(events) as waiting:
            await asyncio.wait([waiting], timeout=0.3)
            assert not waiting.done()
            await out[1].ack()
            await waiting


async def test_unwanted_types_count_as_acknowledged(stage: Stage) -> None:
    await stage.opened(ACCOUNT)
    await stage.deposits(ACCOUNT, 2)
    await stage.origin.freeze(ACCOUNT, "court order")
    await stage.carry()
    async with stage.bank.subscribe(group="readers", types={MoneyDeposited}) as events:
        assert [event.version for event in await take(events, 2)] == [2, 3]
    async with stage.bank.subscribe(group="readers", types={"AccountFrozen"}) as events:
        other = accounts_in_slot(slot_of(ACCOUNT), 1)[0]
        await stage.opened(other)
        await stage.origin.freeze(other, "court order")
        await stage.carry()
        (event,) = await take(events, 1)
        assert (event.account_id, event.version) == (other, 2)


async def test_from_now_leaves_out_what_was_before_and_nothing_after(stage: Stage) -> None:
    """Fails (the deposit is lost) when the beginning of a new group is not stored at once; and when
    `async with` does not wait until it is.
    """
    await stage.opened(ACCOUNT)
    async with stage.bank.subscribe(group="readers", from_="now") as events:
        await stage.deposits(ACCOUNT, 2)
        (event,) = await take(events, 1, ack=False)
        assert event.version == 2
    async with stage.bank.subscribe(group="readers", from_="now") as events:
        assert [event.version for event in await take(events, 2)] == [2, 3]


async def test_workers_share_events_and_keep_the_order_of_each_account(stage: Stage) -> None:
    accounts = [uuid4() for _ in range(10)]
    await stage.opened(*accounts)
    for account_id in accounts:
        await stage.deposits(account_id, 5)
    found: dict[UUID, list[int]] = defaultdict(list)
    busy: set[UUID] = set()

    async def work(events: Subscription) -> None:
        async for event in events:
            assert event.account_id not in busy
            busy.add(event.account_id)
            await asyncio.sleep(0)
            found[event.account_id].append(event.version)
            busy.remove(event.account_id)
            await event.ack()

    async with stage.bank.subscribe(group="readers") as events, asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(work(events))
        await until(lambda: sum(map(len, found.values())) == 60)
        await events.aclose()
    assert found == {account_id: [1, 2, 3, 4, 5, 6] for account_id in accounts}


async def test_cancelled_iteration_loses_nothing(stage: Stage) -> None:
    async with stage.bank.subscribe(group="readers") as events:
        for _ in range(20):
            async with asked(events):
                await asyncio.sleep(0)
        await stage.opened(ACCOUNT)
        await stage.deposits(ACCOUNT, 3)
        assert [event.version for event in await take(events, 4)] == [1, 2, 3, 4]


async def test_end_of_a_subscription_ends_every_loop_over_it(stage: Stage) -> None:
    async def loop(events: Subscription) -> None:
        async for _ in events:
            pass

    events = stage.bank.subscribe(group="readers", max_in_flight=1)
    loops = [asyncio.create_task(loop(events)) for _ in range(3)]
    await stage.opened(ACCOUNT)
    await until(lambda: events._reading._share is not None)
    await events.aclose()
    await events.aclose()
    await asyncio.gather(*loops)
    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_acknowledging_twice_or_too_late_changes_nothing(stage: Stage) -> None:
    await stage.opened(ACCOUNT)
    await stage.deposits(ACCOUNT, 2)
    async with stage.bank.subscribe(group="readers") as events:
        (first,) = await take(events, 1)
        await first.ack()
        (second,) = await take(events, 1, ack=False)
    await second.ack()
    async with stage.bank.subscribe(group="readers") as events:
        assert [event.version for event in await take(events, 2)] == [2, 3]
