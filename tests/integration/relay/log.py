"""What is in the store, and what of it is in Kafka."""

from collections import defaultdict

from aiokafka import ConsumerRecord

from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.store import RecordedEvent
from passbook.messaging.events import decode
from passbook.projection.recorded import from_recorded
from tests.support.accounts import account_ids, busy, rows
from tests.support.ledger import Ledger
from tests.support.outsider import header
from tests.support.until import until


async def store_events(store: PostgresEventStore, slots: dict[int, int]) -> None:
    """Append so many events to so many slots, in one batch."""
    heads = await store.heads()
    events = [
        row
        for slot, count in slots.items()
        for row in rows(busy(next(account_ids(slot)), count - 1))
    ]
    await store.append_batch({slot: heads[slot] for slot in slots}, events, [])


async def stored(store: PostgresEventStore) -> list[RecordedEvent]:
    """Return the whole log, slot by slot."""
    log = await store.read_log(dict.fromkeys(range(64), 0), 100_000)
    return sorted(log, key=lambda event: (event.slot, event.slot_seq))


def published(records: list[ConsumerRecord]) -> dict[int, list[int]]:
    """Return slot → the numbers of its events in the order of the topic, repeats included."""
    numbers: dict[int, list[int]] = defaultdict(list)
    for record in records:
        numbers[int(header(record, "ce_slot"))].append(int(header(record, "ce_slotseq")))
    return dict(numbers)


async def everything_published(ledger: Ledger, count: int) -> list[ConsumerRecord]:
    """Wait until the topic has at least this many records; return them all."""
    async with ledger.outsider.watched("events") as watch:

        async def enough() -> bool:
            return await watch() >= count

        await until(enough, 30)
    return await ledger.outsider.everything("events")


def carries(records: list[ConsumerRecord], log: list[RecordedEvent]) -> bool:
    """Say whether first occurrences are the log, slot by slot, and repeats are nothing else."""
    first: dict[tuple[int, int], object] = {}
    for record in records:
        event = decode(record.key, record.value, record.headers)
        known = first.setdefault((event.slot, event.slot_seq), event)
        if known != event:
            return False
    numbers: dict[int, int] = {}
    for slot, slot_seq in first:
        if slot_seq != numbers.get(slot, 0) + 1:
            return False
        numbers[slot] = slot_seq
    return first == {(event.slot, event.slot_seq): from_recorded(event) for event in log}
