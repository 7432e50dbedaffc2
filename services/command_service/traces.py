"""What traces say about commands: which, and what was decided."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from passbook.eventstore.errors import DuplicateCommand, SlotMoved
from passbook.eventstore.store import CommandOutcome
from passbook.messaging.commands import CommandMessage
from passbook.tracing.described import where
from passbook.tracing.following import sampled
from services.command_service.arrivals import Answer, Arrival

if TYPE_CHECKING:
    from passbook.tracing.batches import Attributes, BatchTrace

_APPEND: Final = "eventstore.append"
_REFUSALS: Final = (SlotMoved, DuplicateCommand)


def sampled_command(arrival: Arrival) -> str | None:
    """Return the `traceparent` of a command that is sampled."""
    context = arrival.message.context
    return sampled(context.get("traceparent")) if context else None


def described_command(arrival: Arrival) -> "Attributes":
    """Return what is said about a command before it is decided: of one that was not understood, only
    ids that are some.
    """
    record, message = arrival
    told = where(record)
    if message.command_id is not None:
        told["messaging.message.id"] = str(message.command_id)
    if message.account_id is not None:
        told["messaging.kafka.message.key"] = str(message.account_id)
    if isinstance(message, CommandMessage):
        told["cloudevents.event_type"] = f"bank.{type(message.command).__name__}"
    return told


@contextmanager
def appending(trace: "BatchTrace[Arrival] | None", events: int, outcomes: int) -> Iterator[None]:
    """Show an append in the traces of a batch, and end them when it fails. A refused one is decided
    again.
    """
    if trace is None:
        yield
        return
    told: Attributes = {
        "db.system.name": "postgresql",
        "db.stored_procedure.name": _APPEND,
        "passbook.append.events": events,
        "passbook.append.outcomes": outcomes,
    }
    try:
        with trace.step(_APPEND, told, _REFUSALS):
            yield
    except _REFUSALS:
        raise
    except Exception as error:
        trace.end(error)
        raise


@contextmanager
def answering(trace: "BatchTrace[Arrival] | None", answers: Iterable[Answer]) -> Iterator[None]:
    """End the spans of commands when their answers are published, or cannot be."""
    try:
        yield
    except Exception as error:
        if trace is not None:
            trace.end(error)
        raise
    if trace is not None:
        results = {id(record): _result(outcome) for record, _, outcome in answers}
        trace.finish(lambda arrival: results.get(id(arrival.record)))


def _result(outcome: CommandOutcome | None) -> "Attributes":
    """Return what is said about a decision. A refusal by the domain is no failure."""
    if outcome is None:
        return {"passbook.outcome": "dead_letter"}
    if outcome.error_code is None:
        return {"passbook.outcome": "accepted", "passbook.account.version": outcome.version}
    return {"passbook.outcome": "rejected", "passbook.error.code": outcome.error_code}
