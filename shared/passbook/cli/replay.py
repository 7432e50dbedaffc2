"""Publishing dead letters again, one after the other, saying what became of each."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from passbook.eventstore.store import EventStore
from passbook.messaging.letters import COMMANDS, Letter, NotReplayable, Place, original_command
from passbook.messaging.producer import Producer
from passbook.messaging.topics import Topics
from passbook.projection.replaying import partition_to_replay


class Replayed(NamedTuple):
    """What became of a letter: where the original is now, or why it was refused. `command_id` is
    the id under which a command went out, empty when it had none.
    """

    place: Place
    published: str | None = None
    command_id: str = ""
    refused: str | None = None

    def to_dict(self) -> dict[str, object]:
        """Return what `dlq replay --json` tells of it."""
        return {
            "place": str(self.place),
            "published": self.published,
            "command_id": self.command_id or None,
            "refused": self.refused,
        }


@dataclass(frozen=True, slots=True)
class Replay:
    """Publishes originals, equal ones once: what is refused again becomes a letter again, and their
    number must not double every time all of them are replayed. `new_id` is for commands only.
    """

    producer: Producer
    topics: Topics
    store: EventStore
    new_id: bool
    _published: dict[bytes, str] = field(default_factory=dict)

    async def __call__(self, letter: Letter) -> Replayed:
        """Publish the original of a letter, if that does no harm.

        Raises:
            PublishFailed, StoreUnavailable: see there; whatever was published can be again.
        """
        topic, command_id = self.topics.events, ""
        try:
            if letter.place.box == COMMANDS:
                topic, partition = self.topics.commands, letter.partition
                record = original_command(letter, self.topics, new_id=self.new_id)
                command_id = (dict(record[2]).get("ce_id") or b"").decode("utf-8", "replace")
            else:
                partition = await partition_to_replay(letter, self.topics, self.store)
                record = letter.record()
        except NotReplayable as error:
            return Replayed(letter.place, refused=str(error))
        content = sha256(repr((topic, partition, record)).encode()).digest()
        if content not in self._published:
            offsets = await self.producer.publish(topic, {partition: [record]})
            self._published[content] = f"{topic}/{partition}:{offsets[partition]}"
        return Replayed(letter.place, self._published[content], command_id)
