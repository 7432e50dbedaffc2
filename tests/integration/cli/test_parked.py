"""`projection parked`: what is listed, what becomes of a retry, and for whom."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from passbook.domain.account import BankAccount
from passbook.domain.slots import slot_of
from passbook.eventstore.repository import AccountRepository
from tests.support.databases import Database
from tests.support.program import Program

CatchUp = Callable[[], Awaitable[None]]


@pytest.fixture
def by_owner(database: Database, tmp_path: Path) -> Program:
    """Give the program to the owner of the read model."""
    return Program(
        {
            "PASSBOOK_EVENT_STORE_DSN": database.dsn("passbook_command_service"),
            "PASSBOOK_READ_MODEL_DSN": database.admin_dsn,
            "PASSBOOK_DATA_DIR": str(tmp_path / "none"),
        }
    )


@pytest.fixture
async def parked(
    account: BankAccount, repository: AccountRepository, catch_up: CatchUp, owner: asyncpg.Pool
) -> BankAccount:
    """Give an account that is parked from version 4 on."""
    await catch_up()
    await owner.execute("UPDATE balances.accounts SET version = 7")
    account.freeze("court order")
    await repository.save(account)
    await catch_up()
    return account


async def test_parked_account_is_listed_with_its_reason_and_taken_back(
    program: Program, by_owner: Program, parked: BankAccount
) -> None:
    (one,) = (await program("projection", "parked", "balance", "--json")).document
    since = one.pop("parked_at")
    assert since.endswith("Z")
    assert one == {
        "account_id": str(parked.id),
        "slot": slot_of(parked.id),
        "slot_seq": 4,
        "events": 1,
        "reason": f"{parked.id}: no row at version 3",
    }
    shown = await program("projection", "parked", "balance")
    assert f"{slot_of(parked.id)}:4" in shown.stdout
    assert "no row at version 3" in shown.stdout

    refused = await program("projection", "parked", "balance", "--retry")
    assert refused.code == 1
    assert "the login that owns the read model" in refused.stderr

    retry = ("projection", "parked", "balance", "--retry", "--account", parked.id)
    done = await by_owner(*retry, "--json")
    assert done.code == 0, done.stderr
    healed = [{"account_id": str(parked.id), "events": 4}]
    assert done.document == {"ok": True, "healed": healed, "still_parked": []}
    shown = await program("account", "show", parked.id, "--json")
    assert (shown.document["status"], shown.document["version"]) == ("frozen", 4)
    assert "No account is parked" in (await program("projection", "parked", "balance")).stdout
    assert (await by_owner(*retry)).code == 4


async def test_account_that_still_does_not_fit_is_told_and_the_exit_code_says_so(
    by_owner: Program, parked: BankAccount, owner: asyncpg.Pool
) -> None:
    await owner.execute(
        "ALTER TABLE balances.accounts ADD CONSTRAINT never CHECK (status = 'active') NOT VALID"
    )
    ended = await by_owner("projection", "parked", "balance", "--retry", "--json")
    assert (ended.code, ended.document["ok"], ended.document["healed"]) == (1, False, [])
    (still,) = ended.document["still_parked"]
    assert still["account_id"] == str(parked.id)
    assert '"never"' in still["reason"]
    (one,) = (await by_owner("projection", "parked", "balance", "--json")).document
    assert one["reason"] == still["reason"]


async def test_what_cannot_be_is_said(program: Program) -> None:
    for arguments, code, said in (
        (("nope",), 4, "there is no read model nope"),
        (("balance", "--account", uuid4()), 4, "is not parked in balance"),
        (("audit", "--retry"), 2, "only balance leaves accounts out"),
    ):
        ended = await program("projection", "parked", *arguments)
        assert (ended.code, ended.stdout) == (code, "")
        assert said in ended.stderr
