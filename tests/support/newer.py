"""An event of a schema version that this code does not know, and the code that does."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from unittest.mock import patch
from uuid import UUID

from passbook.domain.events import MoneyDeposited
from passbook.domain.upcasting import STEPS, Step
from passbook.eventstore.store import EventStore, NewEvent
from tests.support.accounts import busy, rows

NEWER: Final = 99


@dataclass(frozen=True, slots=True)
class NewerStream:
    """An account of two events, the second of which this code cannot read."""

    account_id: UUID
    slot: int
    slot_seq: int


async def append_newer(store: EventStore, account_id: UUID) -> NewerStream:
    """Append an opening with 100.00 and a deposit of 1.00 in a newer shape, as a direct writer of
    newer code does.
    """
    opening, deposit = rows(busy(account_id, 1))
    head = (await store.heads())[opening.slot]
    await store.append_batch({opening.slot: head}, [opening, newer(deposit)], [])
    return NewerStream(account_id, opening.slot, head + 2)


def newer(event: NewEvent) -> NewEvent:
    """Return a deposit in the shape of version 99: the amount has another name."""
    assert event.event_type == MoneyDeposited.__name__
    data = event.data.replace('"amount"', '"amount_in_euro"')
    return event._replace(schema_version=NEWER, data=data)


@contextmanager
def upgraded() -> Iterator[None]:
    """Be, for the length of the block, code whose newest deposit has version 100, and which knows
    the way there from every older one.
    """

    def renamed(data: dict[str, str]) -> dict[str, str]:
        return {**data, "amount_in_euro": data["amount"]}

    def named_back(data: dict[str, str]) -> dict[str, str]:
        return {**data, "amount": data["amount_in_euro"]}

    steps: dict[tuple[str, int], Step] = {
        ("MoneyDeposited", version): dict for version in range(2, NEWER)
    }
    steps |= {("MoneyDeposited", NEWER - 1): renamed, ("MoneyDeposited", NEWER): named_back}
    with patch.dict(STEPS, steps), patch.object(MoneyDeposited, "schema_version", NEWER + 1):
        yield
