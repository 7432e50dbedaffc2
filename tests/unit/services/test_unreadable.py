"""A stream that this code cannot read: its partition waits, nothing is lost, refused or guessed."""

import asyncio
from uuid import UUID, uuid4

import pytest

from passbook.eventstore.store import NewEvent
from passbook.service import PartStopped
from passbook.telemetry import PARTITIONS_HELD
from services.command_service import arrivals
from tests.support.accounts import busy, rows
from tests.support.until import until
from tests.unit.services.deciding import Bank, ask


async def _with_a_newer_event(bank: Bank) -> tuple[UUID, NewEvent]:
    opening, deposit = rows(busy(movements=1))
    newer = deposit._replace(schema_version=99)
    await bank.store.append_batch({opening.slot: 0}, [opening, newer], [])
    return opening.stream_id, newer


async def test_a_command_for_an_unreadable_account_waits_and_those_before_it_do_not() -> None:
    bank = Bank()
    account, _ = await _with_a_newer_event(bank)
    async with bank.running():
        bank.consumer.arrive(
            ask("OpenAccount", uuid4()),
            ask("DepositMoney", account, amount="1.00"),
            ask("OpenAccount", uuid4()),
        )
        assert await bank.answered(1) == ["accepted"]
        await until(lambda: bank.consumer.processed_up_to == 1)
        assert bank.consumer.held_at == [1]
        assert PARTITIONS_HELD._value.get() == 1
    assert len(bank.outcomes) == 1
    assert len(await bank.store.history(account)) == 2


async def test_a_session_that_begins_holds_nothing() -> None:
    """Seen to fail: what a session held that had ended was told until the process did."""
    PARTITIONS_HELD.set(1)
    async with Bank().running():
        await until(lambda: PARTITIONS_HELD._value.get() == 0)


async def test_the_partition_goes_on_where_it_stopped_when_the_stream_can_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seen to fail: with offsets committed past what is held, and without `release`."""
    monkeypatch.setattr(arrivals, "_LOOK_AGAIN_S", 0.05)
    bank = Bank()
    account, newer = await _with_a_newer_event(bank)
    async with bank.running():
        bank.consumer.arrive(
            ask("DepositMoney", account, amount="1.00"), ask("OpenAccount", uuid4())
        )
        await until(lambda: len(bank.consumer.held_at) >= 2)
        bank.consumer.arrive(ask("OpenAccount", uuid4()))
        assert bank.outcomes == []
        bank.store.rewrite(newer.event_id, schema_version=2)
        assert await bank.answered(3) == ["accepted"] * 3
        assert bank.outcomes[0]["version"] == 3
        await until(lambda: bank.consumer.processed_up_to == 3)
        assert PARTITIONS_HELD._value.get() == 0


async def test_a_stream_that_becomes_unreadable_while_it_is_decided_ends_the_session() -> None:
    """Another writer, of newer code, is faster: what was decided is refused by the store, and
    cannot be decided again. Nobody is answered; the next session holds the partition.

    Seen to fail: with the account taken for an empty one.
    """
    account = uuid4()
    bank = Bank([ask("OpenAccount", account)])
    work = asyncio.create_task(bank.service.run(asyncio.Event()))
    await bank.answered(1)
    bank.store.gate.clear()
    bank.consumer.arrive(ask("DepositMoney", account, amount="1.00"))
    await until(lambda: bank.store.waiting)
    newer = rows(busy(account, 1))[1]._replace(schema_version=99)
    bank.store.record_directly([newer])
    bank.store.gate.set()
    with pytest.raises(PartStopped, match=r"MoneyDeposited of schema version 99: upgrade"):
        await asyncio.wait_for(work, 5)
    assert len(bank.outcomes) == 1
    assert bank.consumer.processed_up_to == 1
