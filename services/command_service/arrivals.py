"""What a poll brings: records decoded, and partitions that have to wait.

A stream that this code cannot read (an event of a newer schema version, a damaged one, a file of the
archive that is missing) must not be decided on, and must not stop the bank. Three answers were
possible:

- stop the service: one event, which anybody with the right to append can write, would take every
  account down with it;
- refuse the account's commands: an outcome is for ever, and in a rolling upgrade the old instance
  would refuse, for ever, what the new one next to it accepts;
- let the partition wait where it is, which is done here. No command is lost, refused or decided on
  half a state, all other partitions flow, and Kafka's lag shows what waits. The partition goes on
  by itself with the first instance that can read the stream: an upgraded one, or this one, which
  looks again every half a minute.

A partition and not the account alone: what comes after could not be committed past the command
that waits, so a restart would have to go through all of it again, without a bound.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from uuid import UUID

import structlog

from passbook.domain.errors import UnknownEventType, UnknownSchemaVersion
from passbook.eventstore.errors import EventStoreError
from passbook.eventstore.ids import FastUUID
from passbook.eventstore.store import CommandOutcome
from passbook.logs import ids
from passbook.messaging.commands import BadCommand, CommandMessage, decode
from passbook.messaging.consumer import Record
from passbook.messaging.group_consumer import Consumer
from passbook.telemetry import PARTITIONS_HELD

_LOOK_AGAIN_S: Final = 30.0
_ASIDE: Final = BadCommand(None, None, "set_aside", "set aside by the operator", b"", {})

log = structlog.get_logger()


class Arrival(NamedTuple):
    """One record of a poll, decoded."""

    record: Record
    message: CommandMessage | BadCommand


class Answer(NamedTuple):
    """What a record gets: its outcome, or only a dead letter when it has no usable id."""

    record: Record
    message: CommandMessage | BadCommand
    outcome: CommandOutcome | None


def decoded(
    records: Mapping[int, Sequence[Record]], aside: Collection[tuple[int, int]] = ()
) -> list[Arrival]:
    """Return the records of a poll, each partition's in order, decoded. Those at the places in `aside`
    (partition, offset) are not looked at: nothing is decided on them, and a dead letter is all that
    they get, which can be replayed.
    """
    arrivals: list[Arrival] = []
    record = None
    try:
        for partition in records.values():
            for record in partition:
                if aside and (record.partition, record.offset) in aside:
                    arrivals.append(Arrival(record, _ASIDE))
                    continue
                message = decode(record.key, record.value, record.headers, FastUUID)
                arrivals.append(Arrival(record, message))
    except Exception:
        if record is not None:
            crashed(record)
        raise
    return arrivals


def crashed(record: Record) -> None:
    """Say which record this code cannot cope with: a bug, after which the process ends."""
    sent = dict(record.headers)
    known = ids(sent.get("ce_id"), sent.get("ce_correlationid"))
    log.error("command.crashed", partition=record.partition, offset=record.offset, **known)


def accounts_of(arrivals: Iterable[Arrival]) -> Iterable[UUID]:
    """Yield the accounts that have to be known in order to decide."""
    return (
        message.command.account_id for _, message in arrivals if isinstance(message, CommandMessage)
    )


class HeldPartitions:
    """The partitions that wait for somebody who can read the stream of their next command."""

    def __init__(self, consumer: Consumer) -> None:
        """Start with none."""
        self._consumer = consumer
        self._until: dict[int, float] = {}
        PARTITIONS_HELD.set(0)  # what another session held is looked at anew

    def cut(
        self,
        arrivals: Sequence[Arrival],
        offsets: dict[int, int],
        unreadable: Mapping[UUID, Exception],
    ) -> tuple[list[Arrival], dict[int, int]]:
        """Return what may be decided, and where each partition goes on: one with a command for an
        unreadable account is cut off in front of it, and waits.
        """
        kept: list[Arrival] = []
        stops: dict[int, int] = {}
        for arrival in arrivals:
            record, message = arrival
            if record.partition in stops:
                continue
            account_id = message.account_id
            if account_id is None or account_id not in unreadable:
                kept.append(arrival)
                continue
            stops[record.partition] = record.offset
            log.error(
                "partition.held",
                partition=record.partition,
                offset=record.offset,
                account_id=str(account_id),
                error=reason_of(unreadable[account_id]),
                **ids_of(message),
            )
        self._consumer.hold(stops)
        self._until |= dict.fromkeys(stops, time.monotonic() + _LOOK_AGAIN_S)
        PARTITIONS_HELD.set(len(self._until))
        return kept, offsets | stops

    def release(self) -> None:
        """Let those go on that have waited long enough to be looked at again."""
        due = [partition for partition, until in self._until.items() if time.monotonic() > until]
        if due:
            self._consumer.release(due)
            for partition in due:
                del self._until[partition]
            PARTITIONS_HELD.set(len(self._until))


def reason_of(error: Exception) -> str:
    """Return why a stream cannot be read, without what it says: a `KeyError` says only which part of
    an event is gone, and what makes no sense as an amount or a name is not repeated.
    """
    match error:
        case KeyError():
            return f"the event has no {error}"
        case EventStoreError() | UnknownEventType() | UnknownSchemaVersion():
            return str(error)
    return f"the event is damaged: {type(error).__name__}"


def ids_of(message: CommandMessage | BadCommand) -> dict[str, str]:
    """Return what a line of the log says about whose it is: the ids that the sender gave."""
    return ids(message.command_id, message.context.get("correlation_id"))
