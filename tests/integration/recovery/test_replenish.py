"""What `passbook log recover` finds, where a clock or a hint would mislead it. The whole story is in
tests/acceptance/test_runbook_restore_postgresql.py.
"""

import time
from typing import Final
from uuid import UUID

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from passbook.eventstore.postgres import PostgresEventStore
from passbook.messaging.topics import apply_topics
from tests.integration.relay.log import everything_published, published, store_events
from tests.support.accounts import account_ids
from tests.support.databases import Connect, OpenPool
from tests.support.ledger import Ledger, running
from tests.support.outsider import Message, command, error_code
from tests.support.until import until

_THREE_HOURS_MS: Final = 3 * 3600 * 1000
_FORGET: Final = """
ALTER TABLE eventstore.events DISABLE TRIGGER USER;
ALTER TABLE eventstore.commands DISABLE TRIGGER USER;
DELETE FROM eventstore.events WHERE slot = 5 AND slot_seq > {head};
DELETE FROM eventstore.commands c
 WHERE c.event_ids <> '{{}}' AND NOT EXISTS (SELECT FROM eventstore.events WHERE event_id = ANY (c.event_ids));
UPDATE eventstore.slots SET head = {head} WHERE slot = 5;
ALTER TABLE eventstore.commands ENABLE TRIGGER USER;
ALTER TABLE eventstore.events ENABLE TRIGGER USER;
"""


@pytest.fixture
async def owner(connect: Connect) -> asyncpg.Connection:
    """Give the login that owns the store."""
    return await connect()


def _opening(account_id: UUID, sent_ms: int) -> Message:
    return command(
        "OpenAccount", str(account_id), owner_name="Ada", initial_deposit="500.00"
    )._replace(timestamp_ms=sent_ms)


async def test_a_command_that_had_waited_for_hours_is_decided_again(
    ledger: Ledger, owner: asyncpg.Connection, pools: OpenPool
) -> None:
    """It was answered as accepted, and its event was never published. A command has its sender's time,
    which says nothing about when it was decided.

    Seen to fail: the group went back by one hour, past such a command, which was lost.
    """
    now_ms = int(time.time() * 1000)
    lost = _opening(next(account_ids(5)), now_ms - _THREE_HOURS_MS)
    kept = _opening(next(account_ids(2)), now_ms)
    async with running(ledger.command_service()):
        await ledger.outsider.send(lost, kept)
        await ledger.outsider.outcomes([lost.command_id, kept.command_id])
    await owner.execute(_FORGET.format(head=0))

    found = await ledger.operator("log", "recover", "--json")
    assert (found.code, found.document["undecided"]) == (0, [lost.command_id]), found.stderr
    async with running(ledger.command_service()):
        answers = (await ledger.outsider.outcomes([lost.command_id], 2))[lost.command_id]
    assert {error_code(answer) for answer in answers} == {"accepted"}
    heads = await PostgresEventStore(await pools("passbook_reader")).heads()
    assert (heads[5], heads[2]) == (1, 1)


async def test_the_answer_to_a_command_that_had_waited_comes_back_with_its_event(
    ledger: Ledger, owner: asyncpg.Connection, kafka_admin: AIOKafkaAdminClient
) -> None:
    """Its outcome is made from the command, which is looked for further back. Seen to fail: without
    that, the sender who asks again is told that the id was used with other content.
    """
    now_ms = int(time.time() * 1000)
    lost = _opening(next(account_ids(5)), now_ms - _THREE_HOURS_MS)
    kept = _opening(next(account_ids(2)), now_ms)
    async with running(ledger.command_service()), running(ledger.relay()):
        await ledger.outsider.send(lost, kept)
        await ledger.outsider.outcomes([lost.command_id, kept.command_id])
        await everything_published(ledger, 2)
    await owner.execute(_FORGET.format(head=0))
    await _delete(kafka_admin, ledger.topics.outcomes)
    await apply_topics(kafka_admin, ledger.topics)

    found = await ledger.operator("log", "recover", "--json")
    assert (found.code, found.document["events"], found.document["outcomes"]) == (0, 1, 1)
    async with running(ledger.command_service()):
        await ledger.outsider.send(lost)
        (answer, *_) = (await ledger.outsider.outcomes([lost.command_id]))[lost.command_id]
    assert error_code(answer) == "accepted"


@pytest.mark.parametrize("more", [0, 4], ids=["beyond the end", "another record"])
async def test_a_hint_from_before_the_topic_was_made_again_is_not_believed(
    ledger: Ledger,
    owner: asyncpg.Connection,
    pools: OpenPool,
    kafka_admin: AIOKafkaAdminClient,
    more: int,
) -> None:
    """The topic was lost and published again, then a backup from before that was put back.

    Seen to fail: from such an offset on nothing was found, or only what comes after a hole.
    """
    store = PostgresEventStore(await pools("passbook_command_service"))
    async with running(ledger.relay()):
        await store_events(store, {5: 1, 9: 5})
        await everything_published(ledger, 6)
    hints = await owner.fetch("SELECT * FROM eventstore.relay_positions")
    await _delete(kafka_admin, ledger.topics.events)
    await apply_topics(kafka_admin, ledger.topics)
    await store_events(store, {5: 2 + more})
    async with running(ledger.relay()):
        records = await everything_published(ledger, 8 + more)
    assert published(records)[5] == list(range(1, 4 + more))
    await owner.execute(_FORGET.format(head=1))
    await owner.execute("DELETE FROM eventstore.relay_positions")
    await owner.copy_records_to_table(
        "relay_positions", schema_name="eventstore", records=[tuple(row) for row in hints]
    )
    offset = 8 if more else 100
    await owner.execute("UPDATE eventstore.relay_positions SET kafka_offset = $1", offset)

    found = await ledger.operator("log", "recover", "--json")

    assert found.code == 0, found.stderr
    assert found.document["events"] == 2 + more
    assert (await store.heads())[5] == 3 + more


async def _delete(admin: AIOKafkaAdminClient, topic: str) -> None:
    await admin.delete_topics([topic])

    async def gone() -> bool:
        return topic not in await admin.list_topics()

    await until(gone)
