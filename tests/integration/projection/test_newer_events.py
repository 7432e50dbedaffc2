"""An event of a newer schema version, from the store through Kafka to a projector that is too old."""

from decimal import Decimal

import asyncpg

from passbook.eventstore.postgres import PostgresEventStore
from passbook.projection.protocol import ProjectionStopped
from tests.integration.projection.reading import balances, positions
from tests.support.accounts import account_ids
from tests.support.ledger import Ledger, Part, running
from tests.support.newer import append_newer, upgraded
from tests.support.old import append_old
from tests.support.until import until


async def test_the_projector_stops_skips_nothing_and_goes_on_after_an_upgrade(
    ledger: Ledger, store: PostgresEventStore, reader: asyncpg.Connection
) -> None:
    """It says which type and version; the position stays in front of the event, over any number of
    starts. The code that knows it goes on from there, and takes what came meanwhile.

    Seen to fail: with `BalanceProjection` reading what is stored, by a `KeyError`.
    """
    before, after = (next(account_ids(5)) for _ in range(2))
    await append_old(store, before)
    stream = await append_newer(store, next(account_ids(5)))
    await append_old(store, after)

    async with running(ledger.relay()):
        for _ in range(2):
            stopped = await Part(ledger.balances()).failure()
            assert isinstance(stopped, ProjectionStopped)
            assert "MoneyDeposited of schema version 99: upgrade this reader" in str(stopped)
            assert (await positions(reader, "balance")).get(5, 0) < stream.slot_seq
            assert stream.account_id not in await balances(reader)
            assert await reader.fetch("SELECT account_id FROM projections.parked") == []
        with upgraded():
            async with running(ledger.balances()):

                async def is_current() -> bool:
                    return await positions(reader, "balance") == {5: 6}

                await until(is_current)

    found = await balances(reader)
    assert {account: row[1] for account, row in found.items()} == dict.fromkeys(
        (before, stream.account_id, after), Decimal("101.00")
    )
