"""Dead letters: the place, the original inside, and the id of a second try."""

from uuid import UUID

import pytest
from aiokafka import ConsumerRecord

from passbook.messaging.dead_letters import dead_letter
from passbook.messaging.letters import (
    Letter,
    NotReplayable,
    Place,
    original_command,
    replay_id,
)
from passbook.messaging.topics import MAX_DEAD_LETTER_RECORD, Topics

TOPICS = Topics()
HEADERS = (("ce_specversion", b"1.0"), ("ce_id", b"x"), ("odd", b"\xff"), ("odd", b""))


def record(
    topic: str, partition: int, offset: int, value: bytes, headers: tuple[tuple[str, bytes], ...]
) -> ConsumerRecord[bytes, bytes]:
    """Return a record as a consumer hands it out."""
    return ConsumerRecord(
        topic, partition, offset, 0, 0, b"k", value, None, 1, len(value), headers=headers
    )


def lettered(value: bytes = b"v", topic: str = "bank.commands", offset: int = 42) -> Letter:
    """Return what is read at commands/3:17 when a record could not be processed."""
    key, copied, headers = dead_letter(record(topic, 3, offset, value, HEADERS), "amount: nö")
    assert key is not None
    assert copied is not None
    return Letter.of("commands", record("bank.commands.dlq", 3, 17, copied, tuple(headers)))


def test_a_place_is_written_as_it_is_read() -> None:
    for text in ("commands/3:17", "events-balance/0:0", "events-audit/15:123456789012"):
        assert str(Place.parse(text)) == text
    for text in (
        "",
        "commands",
        "commands/3",
        "outcomes/3:1",
        "commands/-1:2",
        "events/1:2",
        "x/٣:1",
    ):
        with pytest.raises(ValueError, match="is no place"):
            Place.parse(text)


def test_the_original_is_in_the_letter_whole() -> None:
    letter = lettered()
    assert str(letter.place) == "commands/3:17"
    assert letter.original == "bank.commands/3:42"
    assert (letter.reason, letter.truncated) == ("amount: nö", 0)
    assert letter.record() == (b"k", b"v", list(HEADERS))
    assert original_command(letter, TOPICS, new_id=False) == letter.record()


def test_the_new_id_is_that_of_the_original_and_never_another() -> None:
    """It is a part of what makes replaying safe: it must be the same in every release."""
    key, value, headers = original_command(lettered(), TOPICS, new_id=True)
    assert (key, value) == (b"k", b"v")
    (command_id,) = [value for name, value in headers if name == "ce_id"]
    assert UUID(command_id.decode()).version == 5
    assert command_id == b"94da28ed-ccdb-53f3-8a63-91be64efb851"
    assert [one for one in headers if one[0] != "ce_id"] == [HEADERS[0], *HEADERS[2:]]
    # A second copy of the same original, elsewhere in the topic, is the same command.
    assert replay_id(lettered()._replace(place=Place("commands", 3, 18))) == UUID(
        command_id.decode()
    )
    assert replay_id(lettered(offset=43)) != replay_id(lettered())


def test_what_has_a_usable_id_is_one_command_wherever_it_came_from() -> None:
    """A sender who tries again, or a letter that was replayed too early, twice: the money must not
    come twice. Seen to fail: with an id that is made of the place.
    """
    named = (("ce_specversion", b"1.0"), ("ce_id", b"6B4A1C1E-92f4-4a55-8bb2-63fbd2f3a001"))
    first, second = (lettered(offset=offset)._replace(headers=named) for offset in (42, 43))
    assert replay_id(first) == replay_id(second) == UUID("26098c6d-47fa-5055-ab46-7e4d465b60fb")
    other = first._replace(headers=(*named, ("ce_id", b"6b4a1c1e-92f4-4a55-8bb2-63fbd2f3a002")))
    assert replay_id(other) != replay_id(other._replace(offset=43)), "neither id is to be relied on"


@pytest.mark.parametrize(
    ("letter", "reason"),
    [
        (lettered(topic="bank.events"), "it says it is from bank.events/3:42"),
        (lettered()._replace(topic=""), "it says it is from nowhere"),
        (lettered()._replace(partition=-1), "not from a place in bank.commands"),
        (lettered()._replace(partition=16), "is no partition of bank.commands"),
        (lettered(b"v" * (MAX_DEAD_LETTER_RECORD + 1)), "only a part of it was kept"),
    ],
    ids=["topic", "nowhere", "place", "partition", "cut"],
)
def test_what_is_not_the_whole_copy_of_a_command_is_not_published(
    letter: Letter, reason: str
) -> None:
    with pytest.raises(NotReplayable, match=reason):
        original_command(letter, TOPICS, new_id=True)


def test_what_somebody_else_put_there_is_read_all_the_same() -> None:
    odd = (("dlq-partition", b"x"), ("dlq-offset", b"9" * 40), ("dlq-error", b"\xff"), ("a", b""))
    letter = Letter.of("events-audit", record("bank.events.audit.dlq", 0, 0, b"", odd))
    assert (letter.topic, letter.partition, letter.offset) == ("", -1, -1)
    assert letter.headers == (("a", b""),)
