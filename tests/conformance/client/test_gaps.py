"""Events that are missing, come again, or cannot be read."""

import asyncio
from uuid import UUID, uuid4

import pytest

from passbook.client import EventsMissing, SubscriptionStopped, UnreadableRecord
from passbook.domain.slots import slot_of
from tests.conformance.client.stage import Stage, accounts_in_slot, take

ACCOUNT = UUID("0199d5d0-0000-7000-8000-000000000001")
SLOT = slot_of(ACCOUNT)


async def test_a_missing_event_stops_the_iteration_behind_what_came_before_it(stage: Stage) -> None:
    """Fails (the event behind the gap is handed out) when `Intake._take` does not look at `BEYOND`,
    and (nothing is handed out) when a gap stops the iteration at once.
    """
    await stage.opened(ACCOUNT)
    stage.origin.lose_next_event()
    await stage.deposits(ACCOUNT, 3)
    for from_ in (1, 2, 2):
        async with stage.bank.subscribe(group="readers") as events:
            await take(events, 2 - from_)
            with pytest.raises(
                EventsMissing, match=f"slot {SLOT}: expected number 2, found 3"
            ) as e:
                await take(events, 1)
            assert (e.value.slot, e.value.expected, e.value.found) == (SLOT, 2, 3)
            with pytest.raises(EventsMissing):
                await take(events, 1)


async def test_every_worker_is_told_of_a_gap(stage: Stage) -> None:
    async with stage.bank.subscribe(group="readers", max_in_flight=2) as events:
        workers = [asyncio.create_task(take(events, 9)) for _ in range(5)]
        stage.origin.lose_next_event()
        await stage.opened(ACCOUNT)
        await stage.deposits(ACCOUNT, 1)
        told = await asyncio.gather(*workers, return_exceptions=True)
    assert [type(one) for one in told] == [EventsMissing] * 5


async def test_on_gap_is_told_and_the_iteration_goes_on(stage: Stage) -> None:
    found: list[tuple[int, int, int]] = []

    async def look(missing: EventsMissing) -> None:
        await asyncio.sleep(0)
        found.append((missing.slot, missing.expected, missing.found))

    await stage.opened(ACCOUNT)
    stage.origin.lose_next_event()
    stage.origin.lose_next_event()
    await stage.deposits(ACCOUNT, 3)
    async with stage.bank.subscribe(group="readers", on_gap=look) as events:
        assert [event.version for event in await take(events, 2)] == [1, 4]
        assert (found, events.missing) == ([(SLOT, 2, 4)], 2)
    await stage.deposits(ACCOUNT)
    async with stage.bank.subscribe(group="readers") as events:
        assert [event.version for event in await take(events, 1)] == [5]


async def test_what_on_gap_raises_stops_the_iteration(stage: Stage) -> None:
    def refuse(missing: EventsMissing) -> None:
        raise LookupError(missing.expected)

    stage.origin.lose_next_event()
    await stage.opened(ACCOUNT)
    await stage.deposits(ACCOUNT)
    async with stage.bank.subscribe(group="readers", on_gap=refuse) as events:
        with pytest.raises(LookupError):
            await take(events, 1)


async def test_a_gap_shows_also_across_a_restart(stage: Stage) -> None:
    """Fails (number 1 is expected) when the positions are not stored with the offset."""
    other = accounts_in_slot(SLOT, 1)[0]
    await stage.opened(ACCOUNT, other)
    async with stage.bank.subscribe(group="readers") as events:
        await take(events, 2)
    stage.origin.lose_next_event()
    await stage.deposits(other, 2)
    async with stage.bank.subscribe(group="readers") as events:
        with pytest.raises(EventsMissing, match="expected number 3, found 4"):
            await take(events, 9)


async def test_repeated_events_are_passed_over_also_across_a_restart(stage: Stage) -> None:
    """Fails (an event comes twice) when `Deliveries.place` never says `REPEATED`, and when the
    positions are not stored.
    """
    await stage.opened(ACCOUNT)
    stage.origin.repeat_last_event()
    await stage.deposits(ACCOUNT)
    async with stage.bank.subscribe(group="readers") as events:
        assert [event.version for event in await take(events, 2)] == [1, 2]
        assert events.repeated == 1
    stage.origin.repeat_last_event()
    await stage.deposits(ACCOUNT)
    async with stage.bank.subscribe(group="readers") as events:
        assert [event.version for event in await take(events, 1)] == [3]
        assert events.repeated == 1


@pytest.mark.parametrize(
    ("header", "value", "reason"),
    [
        ("ce_schemaversion", b"9", "no way to read MoneyDeposited of schema version 9"),
        ("ce_type", b"bank.InterestPaid", "unknown event type 'InterestPaid'"),
        ("ce_slot", b"%d" % ((SLOT + 1) % 64), "has another partition"),
        ("ce_version", None, "not an event of ours"),
        ("ce_id", b"42", "MoneyDeposited"),
    ],
)
async def test_a_record_that_cannot_be_read_is_named_and_never_passed_over(
    stage: Stage, header: str, value: bytes | None, reason: str
) -> None:
    await stage.opened(ACCOUNT)
    await stage.origin.deposit(ACCOUNT, 1)
    partition = SLOT % 4
    record = stage.origin._log.partitions[partition].pop()
    changed = {**dict(record.headers), header: value}
    await stage.publish(partition, (record.key, record.value, list(changed.items())))
    for before in (1, 0):
        async with stage.bank.subscribe(group="readers") as events:
            await take(events, before)
            with pytest.raises(UnreadableRecord, match=reason) as stopped:
                await take(events, 1)
            assert (stopped.value.partition, stopped.value.offset) == (partition, 1)


async def test_an_event_too_new_to_be_read_does_not_stop_those_who_want_others(
    stage: Stage,
) -> None:
    await stage.opened(ACCOUNT)
    await stage.origin.deposit(ACCOUNT, 1)
    record = stage.origin._log.partitions[SLOT % 4].pop()
    newer = {**dict(record.headers), "ce_type": b"bank.InterestPaid"}
    await stage.publish(SLOT % 4, (record.key, record.value, list(newer.items())))
    await stage.deposits(ACCOUNT)
    async with stage.bank.subscribe(group="readers", types=["MoneyDeposited"]) as events:
        assert [event.version for event in await take(events, 1)] == [3]


async def test_partitions_without_a_gap_are_acknowledged_as_usual(stage: Stage) -> None:
    accounts = [account for slot in (0, 1, 2, 3) for account in accounts_in_slot(slot, 1)]
    await stage.opened(*accounts)
    stage.origin.lose_next_event()
    await stage.deposits(accounts[0], 2)
    async with stage.bank.subscribe(group="readers") as events:
        await take(events, 4)
        with pytest.raises(SubscriptionStopped):
            await take(events, 1)
    await stage.opened(uuid4())
    async with stage.bank.subscribe(group="readers", on_gap=lambda _: None) as events:
        assert len(await take(events, 2)) == 2
        assert events.repeated == 0
