"""An inline balance on a running installation: set, migrated and kept by the command service."""

from decimal import Decimal

from tests.support.databases import connected
from tests.support.installation import installation

ROW = "SELECT balance, version FROM inline_balances.accounts WHERE account_id = $1"


async def test_inline_balance_is_right_when_the_outcome_arrives() -> None:
    with installation(PASSBOOK_INLINE_PROJECTIONS="balance") as here:
        async with here.up() as up, connected(up.document["admin_dsn"]) as owner:
            opening = await here.passbook(
                "account", "open", "--owner", "Ada", "--deposit", "500", "--json"
            )
            account_id = opening.document["account_id"]
            assert tuple(await owner.fetchrow(ROW, account_id)) == (Decimal("500.00"), 1)
            for version in range(2, 12):
                ended = await here.passbook("account", "withdraw", account_id, "1.50", "--json")
                row = await owner.fetchrow(ROW, account_id)
                assert ended.document["version"] == row["version"] == version
            assert row["balance"] == Decimal("485.00")
            lags = (await here.passbook("projection", "list", "--json")).document
            assert {lag["name"]: lag["events_behind"] for lag in lags}["inline_balance"] == 0
            assert (await here.passbook("migrate", "--check")).code == 0
            verified = (
                await here.passbook("projection", "verify", "inline_balance", "--json")
            ).document
            assert (verified["ok"], verified["events"]) == (True, 11)
            removed = await here.passbook("projection", "remove-inline", "balance", "--json")
            assert removed.document == {"removed": "inline_balance"}
            assert (await here.passbook("migrate", "--check")).code == 1
