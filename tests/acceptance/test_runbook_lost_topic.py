"""deploy/runbooks/lost-topic.md, followed to the letter while commands come in."""

import asyncio
from typing import Final
from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from passbook.client import PassbookClient
from tests.support.databases import Connect
from tests.support.outsider import command
from tests.support.processes import ServiceProcess
from tests.support.reckoning import evidence_holds, reckon
from tests.support.runbook import Page
from tests.support.until import until
from tests.support.world import AUDIT, BALANCES, COMMAND_SERVICE, RELAY, SERVICES, World, at_least

pytestmark = pytest.mark.timeout(240)

PAGE: Final = Page("lost-topic")
_REFUSED: Final = 78


async def test_the_events_are_published_again_from_the_store_while_commands_are_decided(
    world: World, kafka_admin: AIOKafkaAdminClient, connect: Connect
) -> None:
    """Whoever subscribed gets everything again: a group's offsets go with the topic.

    Seen to fail: a projector that only polled waited for the topic without a word, ready, and did not
    see it when it was there again; a producer that left the other partitions alone when one had failed
    told of errors that nobody awaited.
    """
    expected = await world.backlog(300, 30)
    await world.run(*SERVICES)
    await world.current(expected.events)
    first = await _read(world, expected.events)
    await until(at_least(world.noted, expected.events))
    publishing = world.running(RELAY)

    await _delete(kafka_admin, world.topics.events)
    await world.backlog(60, 6, before=expected)
    await until(at_least(world.stored, expected.events), 30)
    for name in (RELAY, BALANCES, AUDIT):
        await _refuses(world, name, world.topics.events)
    assert not publishing.logged("task.failed")
    await PAGE.follow(world.operator, "1. Make it again")
    await world.run(RELAY, BALANCES, AUDIT)
    await world.current(expected.events)
    assert world.running(RELAY).logged("relay.log_lost")
    again = await _read(world, expected.events)
    assert again >= first
    await until(at_least(world.noted, expected.events))
    await PAGE.follow(world.operator, "How to know that it is over")
    await reckon(world, expected)
    await evidence_holds(connect, expected.events)


async def test_without_the_outcomes_a_command_is_answered_when_it_is_sent_again(
    world: World, kafka_admin: AIOKafkaAdminClient
) -> None:
    account = str(uuid4())
    opening = command("OpenAccount", account, owner_name="Alice", initial_deposit="500.00")
    await world.run(COMMAND_SERVICE)
    await world.outsider.send(opening)
    (before,) = (await world.outsider.outcomes([opening.command_id]))[opening.command_id]

    await _delete(kafka_admin, world.topics.outcomes)
    await world.outsider.send(command("DepositMoney", account, amount="1.00"))
    await _refuses(world, COMMAND_SERVICE, world.topics.outcomes)
    await PAGE.follow(world.operator, "1. Make it again")
    await world.run(COMMAND_SERVICE)
    await world.outsider.send(opening)

    (after,) = (await world.outsider.outcomes([opening.command_id]))[opening.command_id]
    assert (after.key, after.value, after.headers) == (before.key, before.value, before.headers)
    assert await world.stored() == 2


async def _refuses(world: World, name: str, topic: str) -> None:
    """See a service end, saying which topic is missing."""
    (process,) = [one for one in world.processes if one.name == name]
    assert await process.ended(60) == _REFUSED
    assert _last(process).startswith(f"missing topics: {topic}")


def _last(process: ServiceProcess) -> str:
    (refusal,) = process.logged("service.refused")
    return str(refusal["error"])


async def _read(world: World, events: int) -> set[str]:
    """Subscribe until there have been so many events; return their places."""
    found: set[str] = set()
    async with (
        PassbookClient(world.kafka, world.topics) as bank,
        bank.subscribe(group="readers") as received,
        asyncio.timeout(60),
    ):
        while len(found) < events:
            one = await anext(received)
            found.add(f"{one.account_id} {one.version}")
            await one.ack()
    return found


async def _delete(admin: AIOKafkaAdminClient, topic: str) -> None:
    await admin.delete_topics([topic])

    async def gone() -> bool:
        return topic not in await admin.list_topics()

    await until(gone)
