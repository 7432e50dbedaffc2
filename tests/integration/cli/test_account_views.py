import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from passbook.domain.account import BankAccount
from passbook.eventstore.repository import AccountRepository
from tests.support.accounts import opened
from tests.support.program import Program

CatchUp = Callable[[], Awaitable[None]]


async def test_show_tells_the_balance_view_and_when_its_version_was_recorded(
    program: Program, account: BankAccount, catch_up: CatchUp
) -> None:
    await catch_up()
    history = (await program("account", "history", account.id, "--json")).document
    shown = await program("account", "show", account.id, "--json")
    assert shown.code == 0
    assert shown.document == {
        "account_id": str(account.id),
        "owner_name": "Ada",
        "balance": "102.00",
        "status": "active",
        "version": 3,
        "as_of": {"version": 3, "recorded_at": history[-1]["recorded_at"]},
    }


async def test_show_for_people_prints_names_as_they_are(
    program: Program, repository: AccountRepository, catch_up: CatchUp
) -> None:
    account = BankAccount.open(uuid4(), "[red]Ada[/red]", Decimal("1234567.80"))
    await repository.save(account)
    await catch_up()
    shown = await program("account", "show", account.id)
    assert "[red]Ada[/red]" in shown.stdout
    assert "1,234,567.80" in shown.stdout


async def test_strong_and_version_ask_the_events_and_not_the_view(
    program: Program, account: BankAccount
) -> None:
    absent = await program("account", "show", account.id)
    assert (absent.code, absent.stdout) == (4, "")
    assert "--strong" in absent.stderr
    strong = (await program("account", "show", account.id, "--strong", "--json")).document
    assert (strong["version"], strong["balance"]) == (3, "102.00")
    first = (await program("account", "show", account.id, "--version", 1, "--json")).document
    assert (first["version"], first["balance"]) == (1, "100.00")
    late = await program("account", "show", account.id, "--version", 4)
    assert late.code == 4
    assert "its newest is 3" in late.stderr


async def test_state_at_a_moment_stays_the_same(
    program: Program, repository: AccountRepository
) -> None:
    account = opened()
    await repository.save(account)
    moment = datetime.now(UTC).isoformat()
    before = await program("account", "show", account.id, "--at", moment, "--json")
    account.freeze("court order")
    await repository.save(account)
    after = await program("account", "show", account.id, "--at", moment, "--json")
    assert before.document == after.document
    assert (after.document["version"], after.document["status"]) == (1, "active")
    earlier = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    assert (await program("account", "show", account.id, "--at", earlier)).code == 4


@pytest.mark.parametrize("verb", [("show", uuid4()), ("list",)], ids=["show", "list"])
async def test_future_has_no_state(program: Program, verb: tuple[object, ...]) -> None:
    for moment in ("2999-01-01T00:00:00Z", "9999-12-31T23:59:59.999999-12:00"):
        ended = await program("account", *verb, "--at", moment)
        assert ended.code == 2
        assert "in the future: the event store's clock says" in ended.stderr
    vague = await program("account", *verb, "--at", "2026-01-01T00:00:00")
    assert vague.code == 2
    assert "no time zone" in vague.stderr


async def test_list_at_a_moment_stays_the_same_in_every_zone_and_on_every_page(
    program: Program, repository: AccountRepository
) -> None:
    accounts = sorted((opened() for _ in range(5)), key=lambda account: account.id)
    for account in accounts:
        await repository.save(account)
    now = datetime.now(UTC)
    moments = [now.isoformat(), now.astimezone(timezone(timedelta(hours=5.5))).isoformat()]

    async def pages(moment: str) -> list[Any]:
        found: list[Any] = []
        cursor: str | None = ""
        while cursor is not None:
            more = ("--cursor", cursor) if cursor else ()
            asked = ("account", "list", "--at", moment, "--limit", 2, *more, "--json")
            page = (await program(*asked)).document
            found += page["accounts"]
            cursor = page["next_cursor"]
        return found

    before = await pages(moments[0])
    assert [one["account_id"] for one in before] == [str(account.id) for account in accounts]
    shown = await program("account", "show", accounts[0].id, "--at", moments[0], "--json")
    assert before[0] == shown.document
    for account in accounts[::2]:
        account.close()
        await repository.save(account)
    await repository.save(opened())
    assert await pages(moments[1]) == before
    long_ago = (now - timedelta(days=1)).isoformat()
    empty = (await program("account", "list", "--at", long_ago, "--json")).document
    assert empty == {"accounts": [], "next_cursor": None}
    assert (await program("account", "list", "--at", moments[0], "--cursor", "no")).code == 2


async def test_min_version_waits_for_the_view(
    program: Program, account: BankAccount, catch_up: CatchUp
) -> None:
    asked = ("account", "show", account.id, "--min-version")
    async with program.running(*asked, 3, "--timeout", 60) as waiting:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting.wait(), 2)
        await catch_up()
        assert await asyncio.wait_for(waiting.wait(), 30) == 0
    late = await program(*asked, 4, "--timeout", 0.1)
    assert late.code == 69
    assert "at version 3, not yet at 4" in late.stderr


async def test_history_tells_every_event_as_it_is_stored(
    program: Program, account: BankAccount
) -> None:
    history = (await program("account", "history", account.id, "--json")).document
    assert [event["event_type"] for event in history] == ["AccountOpened", *["MoneyDeposited"] * 2]
    assert [event["version"] for event in history] == [1, 2, 3]
    last = history[-1]
    assert set(last) == {
        *("slot", "slot_seq", "version", "event_type", "event_id", "schema_version", "data"),
        *("occurred_at", "recorded_at", "command_id", "actor", "read_as"),
    }
    assert last["data"] == {
        "account_id": str(account.id),
        "amount": "1.00",
        "reference": "no. 1",
    }
    assert (last["slot_seq"], last["schema_version"], last["command_id"]) == (3, 2, None)
    for moment in (last["occurred_at"], last["recorded_at"]):
        assert moment.endswith("Z")
        assert datetime.fromisoformat(moment).tzinfo is UTC
    assert (await program("account", "history", uuid4())).code == 4


async def test_list_goes_through_all_accounts_in_pages(
    program: Program, repository: AccountRepository, catch_up: CatchUp
) -> None:
    accounts = [opened() for _ in range(5)]
    for account in accounts:
        await repository.save(account)
    await catch_up()
    found, cursor, pages = [], None, 0
    while cursor or not pages:
        more = ("--cursor", cursor) if cursor else ()
        page = (await program("account", "list", "--limit", 2, *more, "--json")).document
        found += page["accounts"]
        cursor = page["next_cursor"]
        pages += 1
    assert pages == 3
    assert [one["account_id"] for one in found] == sorted(str(one.id) for one in accounts)
    assert all(one["as_of"]["recorded_at"] for one in found)
    assert (await program("account", "list", "--cursor", "nonsense")).code == 2
