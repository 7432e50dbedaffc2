from collections.abc import Awaitable, Callable
from uuid import uuid4

import asyncpg

from passbook.domain.account import BankAccount
from passbook.domain.slots import slot_of
from services.audit_projector.chain import GENESIS
from tests.support.program import Program

CatchUp = Callable[[], Awaitable[None]]


async def test_trail_of_an_account_shows_the_chain(
    program: Program, account: BankAccount, catch_up: CatchUp
) -> None:
    await catch_up()
    trail = (await program("audit", "show", account.id, "--json")).document
    assert [entry["version"] for entry in trail] == [1, 2, 3]
    assert [entry["prev_hash"] for entry in trail] == [
        GENESIS.hex(),
        *(entry["hash"] for entry in trail[:-1]),
    ]
    assert trail[1]["data"] == {
        "account_id": str(account.id),
        "amount": "1.00",
        "reference": "no. 0",
    }
    assert (await program("audit", "show", uuid4())).code == 4


async def test_verification_of_what_is_there_succeeds_and_says_how_far(
    program: Program, account: BankAccount, catch_up: CatchUp
) -> None:
    nothing_yet = (await program("audit", "verify", "--json")).document
    assert nothing_yet["newer_events"] == 3
    await catch_up()
    ended = await program("audit", "verify", "--json")
    assert ended.code == 0
    assert ended.document == {
        "ok": True,
        "entries": account.version,
        "slots": 1,
        "newer_events": 0,
        "first_difference": None,
        "differences": [],
        "checkpoints": {
            "used": 0,
            "confirmed_heads": 0,
            "trusted_key": False,
            "signed_by": [],
            "wrong": [],
        },
    }


async def test_verification_of_a_forged_event_fails_and_names_it(
    program: Program, account: BankAccount, catch_up: CatchUp, owner: asyncpg.Pool
) -> None:
    await catch_up()
    async with owner.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(
            "UPDATE eventstore.events SET data = jsonb_set(data, '{amount}', '\"9.99\"') "
            "WHERE stream_id = $1 AND version = 2",
            account.id,
        )
    ended = await program("audit", "verify", "--json")
    assert ended.code == 1
    difference = ended.document["first_difference"]
    assert not ended.document["ok"]
    assert (difference["slot"], difference["slot_seq"]) == (slot_of(account.id), 2)
    assert difference["kind"] == "altered"
    shown = await program("audit", "verify")
    assert shown.code == 1
    assert f"{slot_of(account.id)}:2  altered: the event in the store has another data" in (
        shown.stdout
    )
