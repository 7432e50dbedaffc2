"""Money is neither made nor lost: what the balances add up to was paid in and not paid out."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import asyncpg
import orjson

from passbook.domain.money import ZERO
from passbook.domain.upcasting import EventUpcaster
from passbook.messaging.events import PublishedEvent

_HELD: Final = "SELECT coalesce(sum(balance), 0) FROM balances.accounts"


class Money:
    """`paid_in` is deposits minus withdrawals of the events that were counted, `held` the sum of
    the balances that were looked at.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.paid_in = ZERO
        self.held = ZERO
        self._upcaster = EventUpcaster()

    @property
    def ok(self) -> bool:
        """Whether the two are the same."""
        return self.paid_in == self.held

    def count(self, events: Sequence[PublishedEvent]) -> None:
        """Add what was paid in by these events, and take away what was paid out."""
        total = ZERO
        for event in events:
            data = self._upcaster.upcast(
                event.event_type, event.schema_version, orjson.loads(event.data)
            )
            match event.event_type:
                case "MoneyDeposited":
                    total += Decimal(data["amount"])
                case "MoneyWithdrawn":
                    total -= Decimal(data["amount"])
                case "AccountOpened":
                    total += Decimal(data["initial_deposit"])
        self.paid_in += total

    async def look(self, connection: asyncpg.Connection) -> None:
        """Add up the balances."""
        self.held = await connection.fetchval(_HELD)
