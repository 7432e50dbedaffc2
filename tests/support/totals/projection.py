"""The heart of the totals projector: one row a day and slot."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Final

import asyncpg

from passbook.domain.events import AccountOpened, MoneyDeposited, MoneyWithdrawn
from passbook.messaging.events import PublishedEvent

# A row a day alone would be one that all instances wait for; a slot is one instance's.
_DDL: Final = """
CREATE TABLE days (
    day      date NOT NULL,
    slot     smallint NOT NULL,
    paid_in  numeric(18,2) NOT NULL,
    paid_out numeric(18,2) NOT NULL,
    PRIMARY KEY (day, slot)
);
GRANT SELECT, INSERT, UPDATE ON days TO passbook_totals_projector;
GRANT SELECT ON days TO passbook_reader;
GRANT USAGE ON SCHEMA projections TO passbook_totals_projector;
GRANT SELECT ON projections.installed, projections.positions, projections.parked
   TO passbook_totals_projector;
GRANT UPDATE (slot_seq) ON projections.positions TO passbook_totals_projector;
GRANT UPDATE (environment_id) ON projections.installed TO passbook_totals_projector;
"""
_ADD: Final = """
INSERT INTO days AS d (day, slot, paid_in, paid_out)
SELECT * FROM unnest($1::date[], $2::smallint[], $3::numeric[], $4::numeric[])
    ON CONFLICT (day, slot) DO UPDATE SET paid_in = d.paid_in + excluded.paid_in,
       paid_out = d.paid_out + excluded.paid_out
"""


class TotalsProjection:
    """`totals.days`."""

    name = "totals"
    schema = "totals"
    writer = "passbook_totals_projector"
    version = 1
    ddl = (_DDL,)
    needs = ("SELECT days", "INSERT days", "UPDATE days")
    parks = False
    evidence = False
    gather_s = 0.05

    async def apply(self, connection: asyncpg.Connection, events: Sequence[PublishedEvent]) -> None:
        """See `Projection.apply`."""
        moved: dict[tuple[date, int], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
        for published in events:
            event = published.decode()
            sums = moved[event.occurred_at.date(), published.slot]
            match event:
                case AccountOpened(initial_deposit=amount) | MoneyDeposited(amount=amount):
                    sums[0] += amount
                case MoneyWithdrawn(amount=amount):
                    sums[1] += amount
        rows = [(*place, *sums) for place, sums in sorted(moved.items())]
        await connection.execute(_ADD, *zip(*rows, strict=True))
