"""Is Kafka ahead of the event store? Then the store was restored to the past, and whatever it goes on
with would give numbers, versions and decisions out a second time.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import asyncpg

from passbook.eventstore.pool import FAILURES, lent
from passbook.eventstore.store import EventStore
from passbook.eventstore.translation import translate
from passbook.messaging.log_tail import Hint, Tail, read_tails
from passbook.messaging.security import KafkaServers
from passbook.messaging.topics import Topics
from passbook.service import PartStopped

_HINTS: Final = """
SELECT slot, published_seq, partition, kafka_offset FROM eventstore.relay_positions
 WHERE topic IN ('', $1)
"""
_TIMEOUT_S: Final = 10.0
_NAMED: Final = 3


class Ahead(NamedTuple):
    """A slot whose last event in Kafka, number `tail`, is not in the store, which ends at `head`.

    Where `head` is not below `tail`, the store has another event under that number.
    """

    slot: int
    tail: int
    head: int


async def relay_hints(pool: asyncpg.Pool, topics: Topics) -> dict[int, Hint]:
    """Return the relay's hint of each slot that has one for this topic.

    Raises:
        StoreUnavailable: no answer.
    """
    try:
        async with lent(pool, _TIMEOUT_S) as connection:
            rows = await connection.fetch(_HINTS, topics.events)
            return {row[0]: Hint(*row[1:]) for row in rows}
    except FAILURES as error:
        translate(error)


async def slots_ahead(store: EventStore, tails: Mapping[int, Tail]) -> list[Ahead]:
    """Return the slots, of those in `tails`, whose last event in Kafka the store does not have.

    Raises:
        StoreUnavailable, LogIncomplete: the store cannot be read.
    """
    # Read after the tails: a slot whose tail is ahead even of this head is ahead for good.
    heads = await store.heads()
    ahead = [
        Ahead(slot, tail.slot_seq, heads[slot])
        for slot, tail in tails.items()
        if tail.slot_seq > heads[slot]
    ]
    # Number for number the store may have caught up again, with events that nobody has seen.
    known = {
        slot: tail for slot, tail in tails.items() if tail.event_id and tail.slot_seq <= heads[slot]
    }
    events = await store.read_log({slot: tail.slot_seq - 1 for slot, tail in known.items()}, 1)
    ahead += [
        Ahead(event.slot, event.slot_seq, heads[event.slot])
        for event in events
        if str(event.event_id) != known[event.slot].event_id
    ]
    return sorted(ahead)


async def check_not_behind(
    pool: asyncpg.Pool,
    store: EventStore,
    kafka: str | KafkaServers,
    topics: Topics,
    client_id: str,
) -> None:
    """Return if the store has everything that Kafka has.

    Raises:
        PartStopped: it has not; the message says what to do.
        StoreUnavailable, LogIncomplete, ConsumerLost: one of them cannot be read.
    """
    hints = await relay_hints(pool, topics)
    partitions = range(topics.partitions)
    tails = await read_tails(kafka, topics, hints, partitions, client_id=client_id)
    if ahead := await slots_ahead(store, tails):
        some = ", ".join(f"slot {one.slot}: {one.head} of {one.tail}" for one in ahead[:_NAMED])
        message = (
            f"the event store is behind Kafka in {len(ahead)} slots ({some}): it was restored to "
            "the past; bring back its newest state, or see `passbook log recover`"
        )
        raise PartStopped(message)
