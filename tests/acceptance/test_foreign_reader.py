"""Invariant 4, seen by somebody who has nothing but aiokafka and the README."""

import asyncio
import json
import sys
from typing import Any, Final

from tests.support.until import until
from tests.support.world import RELAY, SERVICES, World, at_least

# Runs in a process of its own that imports nothing of ours.
_READER: Final = """
import asyncio, json, sys
from collections import Counter

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner

async def read(bootstrap, topic, partitions):
    parts = [TopicPartition(topic, number) for number in range(partitions)]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign(parts)
    left = sum((await consumer.end_offsets(parts)).values())
    slots, versions, seen, repeats = Counter(), Counter(), {}, 0
    where = DefaultPartitioner()
    while left:
        for part, records in (await consumer.getmany(timeout_ms=1000)).items():
            left -= len(records)
            for record in records:
                headers = dict(record.headers)
                slot, number = int(headers["ce_slot"]), int(headers["ce_slotseq"])
                assert part.partition == slot % partitions
                assert part.partition == where(record.key, list(range(partitions)), [])
                if number <= slots[slot]:
                    assert seen[slot, number] == (headers["ce_id"], record.value), "a repeat differs"
                    repeats += 1
                    continue
                assert number == slots[slot] + 1, f"slot {slot}: {number} after {slots[slot]}"
                version = int(headers["ce_version"])
                assert version == versions[record.key] + 1, f"{record.key}: {version}"
                assert headers["ce_specversion"] == b"1.0"
                assert headers["ce_subject"] == record.key
                slots[slot], versions[record.key] = number, version
                seen[slot, number] = headers["ce_id"], record.value
                json.loads(record.value)
    await consumer.stop()
    assert "passbook" not in sys.modules
    print(json.dumps({"events": slots.total(), "accounts": len(versions), "repeats": repeats}))

asyncio.run(read(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def test_a_plain_consumer_sees_every_number_of_every_slot_and_every_version_of_every_account(
    world: World,
) -> None:
    """The relay is killed in between, so that there may be repeats."""
    expected = await world.backlog(10_000, 1_000)
    await world.run(*SERVICES)
    async with world.outsider.watched("events") as published:
        await until(at_least(published, expected.events // 3), 30)
    await world.running(RELAY).kill()
    await world.run(RELAY)
    await world.current(expected.events)
    found = await _read(world)
    assert (found["events"], found["accounts"]) == (expected.events, len(expected.accounts))


async def _read(world: World) -> dict[str, Any]:
    topics = world.topics
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", _READER, world.kafka, topics.events, str(topics.partitions)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    found: dict[str, Any] = json.loads(output)
    return found
