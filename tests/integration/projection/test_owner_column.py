"""The balance view learnt whose the accounts are in its second version: installed ones are upgraded,
new ones have it from the start, and what only the events know a rebuild fills in.
"""

from decimal import Decimal
from typing import Final
from uuid import UUID

import asyncpg
import pytest

from passbook.domain.account import BankAccount
from passbook.eventstore.errors import StoreMismatch
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.preflight import check_migrated, event_store_migrations
from passbook.migrations import Migration, apply_migrations
from passbook.projection.beside import Role
from passbook.projection.copies import make
from passbook.projection.errors import NothingKept
from passbook.projection.inline import InlineProjections, install_inline
from passbook.projection.protocol import projection_migrations
from passbook.projection.rebuild import Rebuilding
from services.audit_projector.projection import AuditProjection
from services.balance_projector import queries
from services.balance_projector.projection import BalanceProjection, inline
from services.balance_projector.queries import account_owners, account_page, account_row
from tests.integration.projection.reading import folded
from tests.support.accounts import account_ids, busy, opened, rows
from tests.support.databases import connected, every_migration
from tests.support.projected import project

FROZEN: Final = {
    ("projection balance", 1): "8f5578cebbd531a8faf702d8637197230d89bb3d2359f60f5fef12ae990190f1",
    ("projection balance", 2): "038c07752f3d7c10ab8fd2b16543ab242925348924c7ccedaa9695289453a2d7",
    ("projection inline_balance", 1): (
        "ff069f08e214e115fd889b286fa76fca7395144f95c9f8a2b4cd7bcf804742a6"
    ),
    ("projection inline_balance", 2): (
        "f3fa8d58c5bd8fea498180789574e510bca9356feda0ec53644899fc92537051"
    ),
    ("projection audit", 1): "b503cb01ebaf7d3952e52ba0f8aeacdcf6034caea04635b70dcefaae1b1c9cba",
}
"""SHA-256 of the scripts that databases may have: the first ones as they were before there was a
second one."""

_FIRST_ROWS: Final = """
INSERT INTO balances.accounts
       (account_id, owner_name, balance, status, version, opened_at, updated_at, slot)
VALUES ($1, $2, $3, $4, $5, now(), now(), $6)
"""
"""What the projector of version 1 wrote."""
_AT_THE_HEADS: Final = """
UPDATE projections.positions p SET slot_seq = s.head
  FROM eventstore.slots s WHERE p.slot = s.slot AND p.projection = 'balance'
"""
_BOUND: Final = """
UPDATE projections.installed SET environment_id = $1 WHERE projection = 'balance'
"""
_MANY: Final = """
INSERT INTO balances.accounts
SELECT gen_random_uuid(), 1, 1, 0, now(), now(), 'active', 'X',
       CASE WHEN n % 2 = 0 THEN 'user ' || n / 2 % 500 ELSE '' END
  FROM generate_series(1, 40000) n;
ANALYZE balances.accounts;
"""
_VERSIONS: Final = """
SELECT projection, version FROM projections.installed WHERE projection LIKE 'balance%' ORDER BY 1
"""


class _FirstVersion(BalanceProjection):
    """The balance projection as it was, as far as making its tables goes."""

    def __init__(self) -> None:
        super().__init__()
        self.ddl = self.ddl[:1]
        self.version = 1


async def _write(store: PostgresEventStore, *accounts: tuple[str, BankAccount]) -> None:
    for actor, account in accounts:
        metadata = f'{{"command_id": "{account.id}", "actor": "{actor}"}}' if actor else "{}"
        events = rows(account, metadata=metadata)
        heads = await store.heads()
        await store.append_batch({events[0].slot: heads[events[0].slot]}, events, [])
        account.clear_pending()


async def _owners(connection: asyncpg.Pool, *accounts: BankAccount) -> list[str | None]:
    found = [await account_row(connection, account.id) for account in accounts]
    return [row.owner if row is not None else "no row" for row in found]


def test_scripts_that_were_released_are_what_they_were() -> None:
    """Seen to fail: with a blank more in the first script of the tables."""
    scripts = projection_migrations(BalanceProjection(), AuditProjection(), inline())
    told = {(one.component, one.version): one.checksum for one in scripts}
    assert {key: told[key] for key in FROZEN} == FROZEN


def test_a_projections_version_is_how_many_scripts_it_has() -> None:
    for projection in (BalanceProjection(), AuditProjection(), inline()):
        assert projection.version == len(projection.ddl)


async def test_who_opened_an_account_owns_it_whoever_comes_after(
    store: PostgresEventStore, owner: asyncpg.Pool, balance_pool: asyncpg.Pool
) -> None:
    """Seen to fail: with the actor of the newest event taken."""
    ada, nobody = busy(next(account_ids(5)), 0), busy(next(account_ids(5)), 2)
    await _write(store, ("ada", ada), ("", nobody))
    ada.deposit(Decimal("1.00"), "")
    await _write(store, ("bob", ada))
    await project(balance_pool, BalanceProjection())
    ada.deposit(Decimal("1.00"), "")
    nobody.deposit(Decimal("1.00"), "")
    await _write(store, ("bob", ada), ("eve", nobody))
    await project(balance_pool, BalanceProjection())
    assert await _owners(owner, ada, nobody) == ["ada", ""]


async def test_a_database_of_version_1_is_upgraded_and_a_rebuild_fills_in_the_owners(
    unmigrated_dsn: str,
) -> None:
    """With what was left in it: a copy of version 1 that a rebuild was cut off at, and one to go back
    to. Neither is used again. What verification says meanwhile is so.

    Seen to fail: with one script for the newest version ("migrated by a newer Passbook"); without the
    comparison of versions in `copies.is_there`, the rollback put a table without the column in place.
    """
    old, new, late = (busy(next(account_ids(slot)), 1) for slot in (5, 6, 5))
    async with (
        connected(unmigrated_dsn) as connection,
        asyncpg.create_pool(unmigrated_dsn, min_size=0, max_size=8) as pool,
    ):
        scripts = [one for one in every_migration() if not _is_second(one)]
        await apply_migrations(connection, scripts)
        store = PostgresEventStore(pool)
        environment_id = await connection.fetchval(
            "SELECT environment_id FROM eventstore.store_info"
        )
        await _write(store, ("ada", old))
        ((account_id, row),) = (await folded(store, await store.heads())).items()
        await connection.execute(_FIRST_ROWS, account_id, *row, 5)
        await connection.execute(_AT_THE_HEADS)
        await connection.execute(_BOUND, environment_id)
        for role in (Role.NEXT, Role.OLD):
            await make(connection, _FirstVersion(), role, environment_id)
        with pytest.raises(StoreMismatch, match="not migrated"):
            await check_migrated(connection, projection_migrations(BalanceProjection()))

        applied = await apply_migrations(connection, every_migration())

        assert [(one.component, one.version) for one in applied] == [("projection balance", 2)]
        assert dict(await connection.fetch(_VERSIONS)) == {
            "balance": 2,
            "balance_next": 1,
            "balance_old": 1,
        }
        assert await apply_migrations(connection, every_migration()) == []

        old.deposit(Decimal("5.00"), "")
        await _write(store, ("ada", old), ("bob", new))
        await project(pool, BalanceProjection())
        assert await _owners(pool, old, new) == [None, "bob"]
        assert await account_owners(pool, [old.id, new.id]) == {new.id: "bob"}
        assert (await account_page(pool, 10, owner="ada")).accounts == []

        rebuilding = Rebuilding(BalanceProjection(), pool, store, environment_id)
        with pytest.raises(NothingKept):
            await rebuilding.roll_back()
        found = (await rebuilding.verify()).comparison
        (difference,) = found.differences
        assert difference.live is not None
        assert difference.rebuilt is not None
        assert (difference.live["owner"], difference.rebuilt["owner"]) == (None, "ada")

        rebuilt = await rebuilding.rebuild()

        assert (rebuilt.comparison.differing, rebuilt.already) == (1, 0)
        assert await _owners(pool, old, new) == ["ada", "bob"]
        assert [row.account_id for row in (await account_page(pool, 10, owner="ada")).accounts] == [
            old.id
        ]
        assert (await rebuilding.verify()).ok
        await _write(store, ("eve", late))
        await project(pool, BalanceProjection())
        assert (await rebuilding.roll_back()).comparison.differing == 1
        assert await _owners(pool, old, new, late) == [None, "bob", "eve"]
        assert (await rebuilding.rebuild()).comparison.differing == 1
        assert (await rebuilding.verify()).ok


def _is_second(one: Migration) -> bool:
    return (one.component, one.version) == ("projection balance", 2)


async def test_an_inline_projection_of_version_1_is_upgraded_in_place(
    unmigrated_dsn: str,
) -> None:
    """And goes on at once: what is appended next has its owner."""
    first = inline()
    first.ddl, first.version = first.ddl[:1], 1
    async with (
        connected(unmigrated_dsn) as connection,
        asyncpg.create_pool(unmigrated_dsn, min_size=0, max_size=4) as pool,
    ):
        await apply_migrations(connection, event_store_migrations())
        await install_inline(connection, PostgresEventStore(pool), first)
        with pytest.raises(StoreMismatch, match="not migrated"):
            await InlineProjections(inline()).check(connection)

        assert await install_inline(connection, PostgresEventStore(pool), inline()) == 0

        hook = InlineProjections(inline())
        await hook.check(connection)
        account = opened()
        await _write(PostgresEventStore(pool, inline=hook), ("ada", account))
        assert await pool.fetchval("SELECT owner FROM inline_balances.accounts") == "ada"


async def test_a_page_of_own_accounts_comes_from_the_index(
    owner: asyncpg.Pool, reader: asyncpg.Connection
) -> None:
    """Keyset pages of one owner among many, without a sort, also by a plan for any owner.

    Seen to fail: without the second condition of `_OWN` (a scan by the primary key).
    """
    await owner.execute(_MANY)
    await reader.execute("SET plan_cache_mode = force_generic_plan")
    await reader.execute("PREPARE first(int, text) AS " + queries._FIRST_OWN_PAGE)
    await reader.execute("PREPARE next(int, text, uuid) AS " + queries._NEXT_OWN_PAGE)
    for call in ("first(11, 'user 7')", f"next(11, 'user 7', '{UUID(int=2**127)}')"):
        plan = "\n".join(line for (line,) in await reader.fetch(f"EXPLAIN EXECUTE {call}"))
        assert "Index Scan using accounts_of_an_owner" in plan, plan
        assert "Sort" not in plan, plan

    found, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        page = await account_page(reader, 15, cursor, owner="user 7")
        found += [row.account_id for row in page.accounts]
        assert {row.owner for row in page.accounts} == {"user 7"}
        cursor, pages = page.next_cursor, pages + 1
    assert (len(set(found)), found, pages) == (40, sorted(found), 3)
    assert (await account_page(reader, 15, owner="")).accounts == []
    assert (await account_page(reader, 15, owner="user")).accounts == []
