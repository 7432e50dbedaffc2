"""What a dead letter says, and how it becomes the record again that it is a copy of.

A place is written `commands/3:17`, or `events-balance/3:17`: short name of the topic, partition,
offset.
"""

import re
from typing import Final, NamedTuple, Self
from uuid import UUID, uuid5

from passbook.messaging.cloudevents import Header
from passbook.messaging.commands import decode
from passbook.messaging.consumer import Record
from passbook.messaging.producer import Record as Outgoing
from passbook.messaging.topics import PROJECTIONS, Topics

COMMANDS: Final = "commands"
_EVENTS: Final = "events-"
BOXES: Final = (COMMANDS, *(_EVENTS + projection for projection in PROJECTIONS))
"""Short names of all dead-letter topics."""

_PLACE: Final = re.compile(r"([a-z-]+)/([0-9]{1,9}):([0-9]{1,18})", re.ASCII)
_ADDED: Final = "dlq-"
# Ids of commands that are replayed as new ones. Never change it: it makes a second replay harmless.
_NEW_IDS: Final = UUID("8a2c6f0e-54a1-5d0b-9a57-1f6d3a1c7b42")


class NoSuchLetter(LookupError):
    """There is no dead letter at this place, or not any more."""

    def __str__(self) -> str:
        return str(self.args[0])


class NotReplayable(ValueError):
    """The dead letter must not be published again; the message says why."""


class Place(NamedTuple):
    """Where a dead letter is. `box` is one of `BOXES`."""

    box: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.box}/{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the place that is written so.

        Raises:
            ValueError: it is none.
        """
        found = _PLACE.fullmatch(text)
        if found is None or found[1] not in BOXES:
            message = (
                f"{text!r} is no place: write it like commands/3:17, with {' or '.join(BOXES)}"
            )
            raise ValueError(message)
        return cls(found[1], int(found[2]), int(found[3]))


class Letter(NamedTuple):
    """A dead letter: the original record, and what was added to it. Of a record that somebody else
    put there, `topic`, `reason` and `failed_at` are empty and `partition` and `offset` are -1.

    `truncated` is how many bytes the original had when it was cut to fit, 0 when it is whole.
    """

    place: Place
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    topic: str
    partition: int
    offset: int
    reason: str
    failed_at: str
    truncated: int

    @property
    def original(self) -> str:
        """Where the original was, as text."""
        return f"{self.topic}/{self.partition}:{self.offset}"

    def header(self, name: str) -> str:
        """Return the last value of an original header as text, empty when there is none."""
        return (dict(self.headers).get(name) or b"").decode("utf-8", "replace")

    def record(self) -> Outgoing:
        """Return the original, as a producer takes it."""
        return self.key, self.value, list(self.headers)

    @classmethod
    def of(cls, box: str, record: Record) -> Self:
        """Return the letter in a record of a dead-letter topic."""
        added = {name: value for name, value in record.headers if name.startswith(_ADDED)}
        return cls(
            Place(box, record.partition, record.offset),
            record.key,
            record.value,
            tuple(header for header in record.headers if not header[0].startswith(_ADDED)),
            (added.get("dlq-topic") or b"").decode("utf-8", "replace"),
            _number(added.get("dlq-partition"), -1),
            _number(added.get("dlq-offset"), -1),
            (added.get("dlq-error") or b"").decode("utf-8", "replace"),
            (added.get("dlq-failed-at") or b"").decode("utf-8", "replace"),
            _number(added.get("dlq-truncated"), 0),
        )


def topic_of(box: str, topics: Topics) -> str:
    """Return the name of the topic whose short name this is."""
    return topics.commands_dlq if box == COMMANDS else topics.events_dlq(box.removeprefix(_EVENTS))


def check_replayable(letter: Letter, topic: str) -> None:
    """Return if a letter is the whole copy of a record of `topic`.

    Raises:
        NotReplayable: it is not.
    """
    if letter.topic != topic or letter.partition < 0 or letter.offset < 0:
        found = letter.original if letter.topic else "nowhere"
        message = f"it says it is from {found}, not from a place in {topic}"
        raise NotReplayable(message)
    if letter.truncated:
        message = f"only a part of it was kept: it had {letter.truncated} bytes"
        raise NotReplayable(message)


def original_command(letter: Letter, topics: Topics, *, new_id: bool) -> Outgoing:
    """Return the record to publish to the command topic, in the partition of the original.

    With its own id it is harmless: a command that was decided gets its stored outcome again. With a
    new id, see `replay_id`, it is decided, once.

    Raises:
        NotReplayable: see `check_replayable`.
    """
    check_replayable(letter, topics.commands)
    if letter.partition >= topics.partitions:
        message = f"{letter.original} is no partition of {topics.commands}"
        raise NotReplayable(message)
    if not new_id:
        return letter.record()
    headers = [header for header in letter.headers if header[0] != "ce_id"]
    headers.insert(1, ("ce_id", str(replay_id(letter)).encode()))
    return letter.key, letter.value, headers


def replay_id(letter: Letter) -> UUID:
    """Return the id under which a command is replayed as a new one.

    It is made of the id that the sender chose: whatever he sent twice, and whatever was replayed
    twice too early and came back as two letters, is one command. Only of what had no usable id it
    is made of the place of the original, which all copies of one record have in common.
    """
    command_id = decode(letter.key, letter.value, letter.headers).command_id
    if command_id is not None:
        return uuid5(_NEW_IDS, str(command_id))
    return uuid5(_NEW_IDS, f"{letter.original} {letter.header('ce_id')}")


def _number(value: bytes | None, missing: int) -> int:
    text = b"" if value is None else value
    return int(text) if text.isdigit() and len(text) < len(str(2**63)) else missing
