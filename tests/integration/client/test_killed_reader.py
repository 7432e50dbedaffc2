"""A subscriber that is killed: the next one goes on exactly behind what was acknowledged."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from passbook.client import PassbookClient
from passbook.client.progress import Progress
from passbook.client.testing import FakeBank
from passbook.messaging.member import Note
from passbook.messaging.topics import Topics
from tests.conformance.client.stage import Stage
from tests.support.servers import Servers
from tests.support.until import until

_EVENTS: Final = 600
_ACKNOWLEDGED: Final = 290
_GROUP: Final = "readers"

# Acknowledges so many events, then takes all it can get and acknowledges none of them.
_READER: Final = """
import asyncio, sys
from passbook.client import PassbookClient, Topics

async def read(bootstrap, prefix, partitions, acknowledged, group):
    client = PassbookClient(bootstrap, Topics(prefix, int(partitions)), session_timeout=6)
    async with client as bank, bank.subscribe(group=group, max_in_flight=10) as events:
        count = 0
        async for event in events:
            print(event.account_id, event.version, flush=True)
            count += 1
            if count <= int(acknowledged):
                await event.ack()

asyncio.run(read(*sys.argv[1:]))
"""


async def test_what_a_killed_reader_had_not_acknowledged_comes_to_another_and_nothing_else(
    servers: Servers, topics: Topics, kafka_admin: AIOKafkaAdminClient
) -> None:
    """Fails (nothing is stored by then) when progress is stored at the end only."""
    async with PassbookClient(servers.kafka_bootstrap, topics) as client:
        stage = Stage(
            FakeBank(partitions=topics.partitions), client, servers.kafka_bootstrap, topics
        )
        accounts = [uuid4() for _ in range(20)]
        await stage.opened(*accounts)
        for account_id in accounts:
            await stage.deposits(account_id, _EVENTS // 20 - 1)

    async def stored() -> bool:
        return await _acknowledged(kafka_admin, topics) == _ACKNOWLEDGED

    async with _reader(servers, topics, _ACKNOWLEDGED) as (first, before):
        await until(lambda: len(before) == _ACKNOWLEDGED + 10, 20)
        await until(stored, 20)
        first.kill()
    async with _reader(servers, topics, _EVENTS) as (_, after):
        await until(lambda: len(after) == _EVENTS - _ACKNOWLEDGED, 30)
        await until(lambda: len(before) == _ACKNOWLEDGED + 10)
    assert set(before) & set(after) == set(before[_ACKNOWLEDGED:])
    everything = {(str(one), str(version)) for one in accounts for version in range(1, 31)}
    assert set(before[:_ACKNOWLEDGED]) | set(after) == everything
    handled = before[:_ACKNOWLEDGED] + after
    for account_id in accounts:
        done = [version for name, version in handled if name == str(account_id)]
        assert done == [str(version) for version in range(1, 31)]


async def _acknowledged(admin: AIOKafkaAdminClient, topics: Topics) -> int:
    """Return how many events the group has stored as acknowledged."""
    parts = [TopicPartition(topics.events, number) for number in range(topics.partitions)]
    notes = await admin.list_consumer_group_offsets(_GROUP, partitions=parts)
    found = [Progress.of(Note(*note)) for note in notes.values() if note.offset >= 0]
    return sum(sum(one.positions.values()) + len(one.beyond) for one in found)


@asynccontextmanager
async def _reader(
    servers: Servers, topics: Topics, acknowledged: int
) -> AsyncIterator[tuple[asyncio.subprocess.Process, list[tuple[str, str]]]]:
    """Run a reader as a process; give it, and what it has said that it got."""
    place = (servers.kafka_bootstrap, topics.prefix, str(topics.partitions))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", _READER, *place, str(acknowledged), _GROUP),
        stdout=asyncio.subprocess.PIPE,
    )
    said: list[tuple[str, str]] = []

    async def listen() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            account_id, version = line.decode().split()
            said.append((account_id, version))

    listening = asyncio.create_task(listen())
    try:
        yield process, said
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await listening
