"""What can go wrong between a client and the bank. A rejected command is none of this: it has an
outcome.

Exception
└── ClientError
    ├── BankUnreachable    Kafka does not answer; nothing was sent
    └── OutcomeUnknown     no answer in time; ask again with the same command id
"""

from uuid import UUID


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
