"""What `passbook bench inline` compares are appends that do the same, one with rows of balances."""

from passbook.cli.bench.inline import BATCHES, compare
from passbook.eventstore.pool import open_pool
from passbook.eventstore.postgres import PostgresEventStore
from passbook.projection.inline import InlineProjections, inline_projections, install_inline
from tests.support.databases import Connect, MakeDatabase, OpenPool

SUMS = """
SELECT (SELECT sum(head) FROM eventstore.slots), (SELECT sum(version) FROM inline_balances.accounts)
"""


async def test_both_sides_append_and_the_inline_one_keeps_its_rows(
    pools: OpenPool, connect: Connect, make_database: MakeDatabase
) -> None:
    other = await make_database()
    (balance,) = inline_projections(["balance"])
    pool, owner = await pools("passbook_command_service"), await connect()
    await install_inline(owner, PostgresEventStore(pool), balance)
    without = await open_pool(other.admin_dsn, application="passbook-tests")
    try:
        stores = {
            "plain": PostgresEventStore(without),
            "inline": PostgresEventStore(pool, inline=InlineProjections(balance)),
        }
        figures = await compare(stores, seconds=1.5)
    finally:
        await without.close()
    assert [row["events"] for row in figures] == list(BATCHES)
    assert all(row[side]["events_per_s"] > 0 for row in figures for side in stores)
    assert all(row["cost"] > 0 for row in figures)
    events, versions = await owner.fetchrow(SUMS)
    assert events == versions > 2_000
