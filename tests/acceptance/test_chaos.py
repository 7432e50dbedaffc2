"""Services are killed, frozen and cut off in the middle of their work; nothing is lost or doubled.

Each test holds invariants of the architecture: 2 (one effect, one outcome), 3 (the log has no
holes), 4 (Kafka carries it), 5 (a read model is the fold of the log), 6 (audit is evidence),
7 (money is exact). `reckon` looks at all of them.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final
from uuid import uuid4

from aiokafka import ConsumerRecord

from tests.support.databases import Connect
from tests.support.outsider import Header, command, error_code, header
from tests.support.processes import ServiceProcess
from tests.support.reckoning import evidence_holds, reckon
from tests.support.until import until
from tests.support.world import (
    AUDIT,
    BALANCES,
    COMMAND_SERVICE,
    RELAY,
    SERVICES,
    Progress,
    World,
    at_least,
)

_COMMANDS: Final = 20_000
_ACCOUNTS: Final = 1_000
_MARKS: Final = (0.12, 0.37, 0.62)


async def test_every_service_killed_three_times_in_the_middle_of_its_work(
    world: World, connect: Connect
) -> None:
    expected = await world.backlog(_COMMANDS, _ACCOUNTS)
    await world.run(*SERVICES)
    async with world.outsider.watched("events") as published, asyncio.TaskGroup() as group:
        for later, (name, progress) in enumerate(_progress(world, published)):
            # Not all at once, so that there is work to be missed while one of them is dead.
            marks = [mark + later * 0.08 for mark in _MARKS]
            group.create_task(_killed_at(world, name, progress, marks, expected.events))
    await reckon(world, expected)
    await evidence_holds(connect, expected.events)


async def _killed_at(
    world: World, name: str, progress: Progress, marks: Sequence[float], events: int
) -> None:
    """Kill a service each time it has done a further part of its work, and start it again."""
    for mark in marks:
        await until(at_least(progress, int(mark * events)), 30)
        await world.running(name).kill()
        assert await progress() < events, f"{name} had nothing left to do when it was killed"
        world.start(name)


async def test_sigterm_in_the_middle_of_the_work_ends_every_service_in_time_and_loses_nothing(
    world: World, connect: Connect
) -> None:
    expected = await world.backlog(_COMMANDS, _ACCOUNTS)
    await world.run(*SERVICES)
    async with world.outsider.watched("events") as published, asyncio.TaskGroup() as group:
        for name, progress in _progress(world, published):
            group.create_task(_terminated_at_work(world, name, progress, expected.events))
    await reckon(world, expected)
    await evidence_holds(connect, expected.events)


async def _terminated_at_work(world: World, name: str, progress: Progress, events: int) -> None:
    await until(at_least(progress, events // 5), 30)
    code, seconds = await world.running(name).terminate()
    assert await progress() < events, f"{name} had nothing left to do when it was terminated"
    assert (name, code) == (name, 0)
    assert seconds < 10
    world.start(name)


def _progress(world: World, published: Progress) -> list[tuple[str, Progress]]:
    """Return every service with what tells how many events have gone through it."""
    return [
        (COMMAND_SERVICE, world.stored),
        (RELAY, published),
        (BALANCES, partial(world.applied, "balance")),
        (AUDIT, partial(world.applied, "audit")),
    ]


async def test_what_was_frozen_past_the_session_timeout_changes_nothing_when_it_thaws(
    world: World, connect: Connect
) -> None:
    """Projectors are frozen in the middle of a transaction, whose locks must not outlast them."""
    expected = await world.backlog(_COMMANDS, _ACCOUNTS)
    decider, _ = await world.run(COMMAND_SERVICE, RELAY)
    await until(at_least(world.stored, expected.events // 5), 30)
    decider.freeze()
    assert await world.stored() < expected.events
    await world.run(COMMAND_SERVICE)
    await until(at_least(world.stored, expected.events), 30)
    projectors = await world.run(BALANCES, AUDIT)
    await asyncio.gather(*(_frozen_in_a_transaction(world, process) for process in projectors))
    assert await world.applied("balance") < expected.events
    assert await world.applied("audit") < expected.events
    await world.run(BALANCES, AUDIT)
    await world.current(expected.events, 30)
    for process in (decider, *projectors):
        process.thaw()
    await world.backlog(2_000, 200, before=expected)
    await reckon(world, expected)
    await evidence_holds(connect, expected.events)


async def _frozen_in_a_transaction(world: World, process: ServiceProcess) -> None:
    """Freeze a projector that has a transaction open."""

    async def caught() -> bool:
        process.freeze()
        if await world.in_transaction(process.name):
            return True
        process.thaw()
        return False

    await until(caught, 30)


async def test_a_repeated_command_has_its_first_outcome_across_restarts_and_never_runs_again(
    world: World,
) -> None:
    account, another = str(uuid4()), str(uuid4())
    first = [
        command("OpenAccount", account, owner_name="Alice", initial_deposit="500.00"),
        command("DepositMoney", account, amount="20.00"),
        command("WithdrawMoney", account, amount="521.00"),
        command("DepositMoney", account, amount="one"),
        command("TransferMoney", account, amount="1.00"),
    ]
    ids = [message.command_id for message in first]
    codes = ["accepted", "accepted", "insufficient_funds", "malformed", "unsupported_command"]
    # Each of these would be accepted under an id of its own.
    others = [
        command("OpenAccount", another, ids[0], owner_name="Bob", initial_deposit="500.00"),
        command("DepositMoney", account, ids[1], amount="20.01"),
        command("WithdrawMoney", account, ids[2], amount="520.00"),
        command("DepositMoney", account, ids[3], amount="1.00"),
        command("DepositMoney", account, ids[4], amount="1.00"),
    ]
    for copies, messages in enumerate((first, first, others, first), start=1):
        (service,) = await world.run(COMMAND_SERVICE)
        await world.outsider.send(*messages)
        outcomes = await world.outsider.outcomes(ids, copies)
        await service.terminate()

    for command_id, code in zip(ids, codes, strict=True):
        # A conflict may name another account, and stands in another partition then: in any place.
        one, two, three, conflict = sorted(outcomes[command_id], key=_is_conflict)
        assert _content(one) == _content(two) == _content(three)
        assert error_code(one) == code
        assert _is_conflict(conflict)
        assert header(conflict, "ce_id") != header(one, "ce_id")
    assert await world.stored() == 2
    assert await world.decided() == len(first)


def _is_conflict(outcome: ConsumerRecord) -> bool:
    return error_code(outcome) == "idempotency_conflict"


def _content(record: ConsumerRecord) -> tuple[bytes, bytes, tuple[Header, ...]]:
    return record.key, record.value, record.headers


async def test_a_projector_whose_offsets_were_reset_to_the_end_still_becomes_complete(
    world: World, connect: Connect
) -> None:
    """Kafka never delivers what lies before; the runtime notices that slots stand still."""
    expected = await world.backlog(5_000, 500)
    await world.run(COMMAND_SERVICE, RELAY)
    async with world.outsider.watched("events") as published:
        await until(at_least(published, expected.events), 30)
    for projector in (BALANCES, AUDIT):
        await world.outsider.commit_ends("events", projector)
    await world.run(BALANCES, AUDIT)
    await world.current(expected.events, 20)
    await world.backlog(500, 50, before=expected)
    await reckon(world, expected)
    await evidence_holds(connect, expected.events)
