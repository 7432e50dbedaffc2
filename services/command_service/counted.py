"""What is counted of commands: by type and outcome, and how long they waited to be decided."""

import time
from collections.abc import Iterable, Sequence
from typing import Final

from passbook.domain.errors import AccountError
from passbook.messaging.command_shapes import COMMANDS, SHAPES
from passbook.messaging.commands import MALFORMED, UNSUPPORTED_COMMAND, BadCommand, CommandMessage
from passbook.messaging.consumer import Record
from passbook.messaging.group_offsets import announce_consumer
from passbook.messaging.outcomes import CONFLICT
from passbook.messaging.topics import Topics
from passbook.series import start_at_zero
from passbook.telemetry import (
    APPEND_RETRIES,
    COMMAND_WAIT_SECONDS,
    COMMANDS_DECIDED,
    DEAD_LETTERS,
    DECISION_SECONDS,
    SNAPSHOTS_IGNORED,
)

ACCEPTED: Final = "accepted"
UNKNOWN: Final = "unknown"
_BAD: Final = (MALFORMED, UNSUPPORTED_COMMAND, CONFLICT)
_RULES: Final = tuple(sorted(rule.code for rule in AccountError.__subclasses__()))


def announce(topics: Topics) -> None:
    """Have every series that this service will count in from now on."""
    types = [command.__name__ for command in SHAPES]
    start_at_zero(COMMANDS_DECIDED, types, (ACCEPTED, *_RULES, *_BAD))
    start_at_zero(COMMANDS_DECIDED, (UNKNOWN,), _BAD)
    start_at_zero(APPEND_RETRIES, ("SlotMoved", "DuplicateCommand"))
    start_at_zero(SNAPSHOTS_IGNORED, ("hash", "unrecorded"))
    start_at_zero(DEAD_LETTERS, (topics.commands_dlq,))
    announce_consumer(topics.commands)


def type_of(record: Record, message: CommandMessage | BadCommand) -> str:
    """Return the type of a command as a label; a name that nobody knows is `unknown`."""
    if isinstance(message, CommandMessage):
        return type(message.command).__name__
    known = COMMANDS.get(dict(record.headers).get("ce_type") or b"")
    return UNKNOWN if known is None else known[1].__name__


def observe_poll(polled: Iterable[Sequence[Record]], began_ns: int) -> None:
    """Note how long deciding took since `began_ns`, and how long the records had waited by now: the
    first, which waited longest, of each partition. One by one would cost more than it is worth.
    """
    now_ns = time.time_ns()
    DECISION_SECONDS.observe((now_ns - began_ns) / 1e9)
    for records in polled:
        # By the clock of the sender, which may be ahead of this one.
        COMMAND_WAIT_SECONDS.observe(max(0.0, now_ns / 1e9 - records[0].timestamp / 1e3))
