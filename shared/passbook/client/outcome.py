"""The outcome of a command, as its sender sees it."""

from dataclasses import dataclass
from typing import Literal, Self
from uuid import UUID

import orjson

from passbook.messaging.outcomes import document


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a command was rejected: `code` is stable and names the rule, `message` is for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided on a command, for ever.

    `version` is the account's version after an accepted command, or as seen by a rejected one.
    `error` is None exactly when the command was accepted.
    """

    command_id: UUID
    account_id: UUID
    outcome: Literal["accepted", "rejected"]
    version: int
    events: tuple[UUID, ...]
    error: Refusal | None

    @property
    def accepted(self) -> bool:
        """Whether it happened."""
        return self.error is None

    @classmethod
    def from_json(cls, value: bytes) -> Self:
        """Return what a published outcome says; fields that are new to this code are passed over.

        Raises:
            ValueError, KeyError, TypeError: it is no outcome, or that of a message which did not say
                which account it is about.
        """
        fields = orjson.loads(value)
        error = fields["error"]
        return cls(
            UUID(fields["command_id"]),
            UUID(fields["account_id"]),
            "accepted" if error is None else "rejected",
            int(fields["version"]),
            tuple(UUID(event_id) for event_id in fields["events"]),
            None if error is None else Refusal(error["code"], error["message"]),
        )

    def to_dict(self) -> dict[str, object]:
        """Return the outcome document, ready for JSON."""
        code, message = (self.error.code, self.error.message) if self.error else (None, None)
        return document(self.command_id, self.account_id, self.version, self.events, code, message)
