"""Publishing an event again that a projection has refused: only if it is an event of the store."""

from passbook.domain.slots import partition_of
from passbook.eventstore.store import EventStore
from passbook.messaging.events import ForeignRecord, decode
from passbook.messaging.letters import Letter, NotReplayable, check_replayable
from passbook.messaging.topics import Topics
from passbook.projection.recorded import from_recorded


async def partition_to_replay(letter: Letter, topics: Topics, store: EventStore) -> int:
    """Return the partition of the event topic into which a dead letter may be published again.

    The topic carries the log: first occurrences of a slot's numbers in order, byte by byte what the
    store has. So the letter must be an event that the store has, and that the relay has published
    before: then it is a repetition, which every consumer skips.

    Raises:
        NotReplayable: it is not.
        StoreUnavailable: the store does not answer.
    """
    check_replayable(letter, topics.events)
    try:
        event = decode(letter.key, letter.value, letter.headers)
    except ForeignRecord as error:
        raise NotReplayable(str(error)) from error
    place = f"{event.slot}:{event.slot_seq}"
    published = (await store.published()).get(event.slot, 0)
    if not 0 < event.slot_seq <= published:
        message = f"the relay has published slot {event.slot} up to {published}, this is {place}"
        raise NotReplayable(message)
    stored = await store.read_slot(event.slot, event.slot_seq - 1, 1)
    if not stored or stored[0].slot_seq != event.slot_seq:
        message = f"the event store has no event {place}"
        raise NotReplayable(message)
    known = from_recorded(stored[0])
    if known != event:
        facts = [
            name
            for name, here, there in zip(event._fields, event, known, strict=True)
            if here != there
        ]
        message = f"event {place} of the event store has another {' and '.join(facts)}"
        raise NotReplayable(message)
    return partition_of(event.slot, topics.partitions)
