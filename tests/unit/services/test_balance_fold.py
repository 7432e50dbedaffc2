"""What the balance projection makes of events that no code has written."""

from typing import Any, cast
from uuid import uuid4

import pytest

from passbook.domain.errors import UnknownSchemaVersion
from passbook.messaging.events import PublishedEvent
from passbook.projection.protocol import CannotApply
from services.balance_projector.projection import BalanceProjection

_NOW = "2026-11-23T12:00:00.000000Z"


def deposit(data: bytes, schema_version: int = 2) -> PublishedEvent:
    """Return a deposit with any data."""
    account_id = str(uuid4())
    kind = ("MoneyDeposited", schema_version)
    return PublishedEvent(3, 7, account_id, 2, *kind, str(uuid4()), data, _NOW, _NOW, "", "", "")


async def apply(event: PublishedEvent) -> None:
    """Apply an event that never gets as far as the database."""
    await BalanceProjection().apply(cast("Any", None), [event])


@pytest.mark.parametrize("data", [b"{}", b'{"amount": "much", "reference": ""}', b"{", b"\xff"])
async def test_a_damaged_event_is_one_that_cannot_be_applied(data: bytes) -> None:
    """So that its account is parked and the others flow. Seen to fail without the translation: the
    error went up to the process.
    """
    with pytest.raises(CannotApply, match="version 2 is damaged"):
        await apply(deposit(data))


async def test_an_event_of_a_newer_schema_is_not_called_damaged() -> None:
    with pytest.raises(UnknownSchemaVersion):
        await apply(deposit(b"{}", schema_version=99))
