"""A command as it will be on the wire, read back before it is sent: what nobody would understand is
refused here, and the bank's name for its content is known.
"""

from datetime import UTC, datetime
from typing import Unpack
from uuid import UUID

from passbook.client.bank import Context
from passbook.domain.commands import Command
from passbook.domain.errors import MalformedValue
from passbook.messaging.cloudevents import format_time
from passbook.messaging.commands import BadCommand, CommandMessage, decode, encode
from passbook.messaging.producer import Record


def encoded(
    command: Command, command_id: UUID, source: str, **context: Unpack[Context]
) -> tuple[Record, CommandMessage]:
    """Return the record of a command, and what the bank will read in it.

    Raises:
        MalformedValue: the bank would not understand it.
    """
    now = format_time(datetime.now(UTC))
    try:
        record = encode(command, command_id=command_id, source=source, time=now, **context)
    except (TypeError, UnicodeEncodeError) as error:
        raise MalformedValue(str(error)) from error
    message = decode(*record)
    if isinstance(message, BadCommand):
        raise MalformedValue(message.reason)
    return record, message
