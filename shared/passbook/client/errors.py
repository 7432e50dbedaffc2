"""What can go wrong between a client and the bank, and the one thing that is no failure: a refusal.

Exception
├── CommandRejected              the bank said no, for ever; `code` names the rule
└── ClientError                  a failure on the way
    ├── BankUnreachable          Kafka does not answer; nothing was sent
    ├── OutcomeUnknown           no answer in time; ask again with the same command id
    └── SubscriptionStopped      a subscription must not go on: nothing is skipped, nor acknowledged
        ├── EventsMissing        the next number of a slot is not there
        └── UnreadableRecord     a record that this code cannot read: upgrade it
"""

from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from passbook.client.outcome import Outcome


class CommandRejected(Exception):
    """A rule of the bank refused the command, and nothing changed. To repeat it with the same
    command id gets the same answer; what may be accepted later is a new command.

    `code` is stable and names the rule, `message` is for people, `version` is the account's as
    the bank saw it, `outcome` all of it.
    """

    def __init__(self, code: str, message: str, version: int, outcome: "Outcome") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.version = version
        self.outcome = outcome

    def __reduce__(self) -> tuple[type["CommandRejected"], tuple[str, str, int, "Outcome"]]:
        """Let it pass between processes."""
        return type(self), (self.code, self.message, self.version, self.outcome)


class ClientError(Exception):
    """The root of this package's failures."""


class BankUnreachable(ClientError):
    """Kafka does not answer. Nothing was sent; try again later."""


class OutcomeUnknown(ClientError):
    """The command may have been carried out or not, or may still be.

    Ask again with the same `command_id` and the same content: it is carried out once at most, and
    answered again if it was.
    """

    def __init__(self, command_id: UUID, reason: str) -> None:
        super().__init__(
            f"the outcome of command {command_id} is unknown ({reason}); "
            "to ask again with the same command id is safe"
        )
        self.command_id = command_id
        self.reason = reason

    def __reduce__(self) -> tuple[type["OutcomeUnknown"], tuple[UUID, str]]:
        """Let it pass between processes."""
        return type(self), (self.command_id, self.reason)


class SubscriptionStopped(ClientError):
    """The subscription must not go on. What was handed out can still be acknowledged; a new
    subscription of the group comes to the same place.
    """


class EventsMissing(SubscriptionStopped):
    """Slot `slot` goes on with number `found` where `expected` should be.

    Read what is missing elsewhere (the bank's HTTP interface or its event store have it), or give
    `subscribe` an `on_gap` to be told and go on.
    """

    def __init__(self, slot: int, expected: int, found: int) -> None:
        super().__init__(f"slot {slot}: expected number {expected}, found {found}")
        self.slot = slot
        self.expected = expected
        self.found = found

    def __reduce__(self) -> tuple[type["EventsMissing"], tuple[int, int, int]]:
        """Let it pass between processes."""
        return type(self), (self.slot, self.expected, self.found)


class UnreadableRecord(SubscriptionStopped):
    """The record at `offset` of `partition` is of an event that this code is too old for (upgrade
    it), or is none of this ledger's (somebody else writes to its topic).
    """

    def __init__(self, partition: int, offset: int, reason: str) -> None:
        super().__init__(f"partition {partition}, offset {offset}: {reason}")
        self.partition = partition
        self.offset = offset
        self.reason = reason

    def __reduce__(self) -> tuple[type["UnreadableRecord"], tuple[int, int, str]]:
        """Let it pass between processes."""
        return type(self), (self.partition, self.offset, self.reason)
