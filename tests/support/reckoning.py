"""After a run: is everything as it must be? Seen from outside, in SQL and with a foreign client."""

from collections import defaultdict
from typing import Final

from aiokafka import ConsumerRecord

from passbook.cli.bench.invariants import broken_invariants
from passbook.cli.bench.workload import Expectation
from services.audit_projector.verify import verify
from tests.support.databases import Connect
from tests.support.outsider import document, header
from tests.support.until import until
from tests.support.world import World

_DECISIONS: Final = """
SELECT command_id::text, coalesce(error_code, 'accepted'), event_ids::text[]
  FROM eventstore.commands
"""
_LOG: Final = "SELECT slot, slot_seq, event_id::text, data::text FROM eventstore.events"


async def reckon(world: World, expected: Expectation, *, deadline_s: float = 60.0) -> None:
    """Wait until everything is done, stop the services in order, and find nothing wrong."""
    commands = expected.outcomes.total()

    async def decided() -> bool:
        return await world.decided() >= commands

    await until(decided, deadline_s)
    await world.current(expected.events, deadline_s)
    sent = [header(record, "ce_id") for record in await world.outsider.everything("commands")]
    outcomes = await world.outsider.outcomes(set(sent))
    for process in world.processes:
        if process.exit_code is None:
            code, _ = await process.terminate()
            assert code == 0, f"{process.name} ended with {code}: {process.last_words()}"
    wrong = await broken_invariants(world.environment, commands, expected)
    assert not wrong, wrong
    await _decisions_are_published(world, outcomes)
    await _log_is_published(world)


async def evidence_holds(connect: Connect, entries: int) -> None:
    """Find the audit log complete, chained, and telling the same as the event store."""
    found = await verify(
        await connect("passbook_reader"), await connect("passbook_reader"), lambda *_: None
    )
    assert found.ok, found.differences
    complete = (found.entries, found.newer) == (entries, 0)
    assert complete, f"{found.entries} of {entries} entries, {found.newer} events without one"


async def _decisions_are_published(world: World, outcomes: dict[str, list[ConsumerRecord]]) -> None:
    """Every command has one outcome: what is stored, in as many equal copies as you like."""
    stored = {
        command_id: (code, events)
        for command_id, code, events in await world.admin.fetch(_DECISIONS)
    }
    published = {}
    for command_id, copies in outcomes.items():
        different = {(copy.key, copy.value, copy.headers) for copy in copies}
        assert len(different) == 1, f"command {command_id} has several outcomes: {different}"
        outcome = document(copies[0])
        error = outcome["error"]
        published[command_id] = (error["code"] if error else "accepted", outcome["events"])
    wrong = {name for name in published | stored if published.get(name) != stored.get(name)}
    assert not wrong, (
        f"{len(wrong)} outcomes in Kafka and in the store differ, such as {min(wrong)}"
    )


async def _log_is_published(world: World) -> None:
    """First occurrences in Kafka are the store's events, byte by byte."""
    published: dict[tuple[int, int], tuple[str, str]] = {}
    heads: dict[int, int] = defaultdict(int)
    for record in await world.outsider.everything("events"):
        slot, number = int(header(record, "ce_slot")), int(header(record, "ce_slotseq"))
        content = (header(record, "ce_id"), record.value.decode())
        if number <= heads[slot]:
            assert published[slot, number] == content, f"slot {slot} number {number} has changed"
            continue
        assert number == heads[slot] + 1, f"slot {slot}: {number} follows {heads[slot]}"
        heads[slot] = number
        published[slot, number] = content
    stored = {
        (slot, number): (event_id, data)
        for slot, number, event_id, data in await world.admin.fetch(_LOG)
    }
    wrong = {place for place in published | stored if published.get(place) != stored.get(place)}
    assert not wrong, f"{len(wrong)} events in Kafka and in the store differ, such as {min(wrong)}"
