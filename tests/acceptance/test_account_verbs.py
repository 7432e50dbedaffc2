"""The data verbs against a running `passbook up`: through Kafka, every service, and both views."""

import asyncio
import json
import signal
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest

from tests.support.program import Program

pytestmark = pytest.mark.timeout(240)


async def test_money_moves_from_the_command_line_to_the_balance_view(
    running_passbook: Program,
) -> None:
    passbook = running_passbook
    opening = await passbook("account", "open", "--owner", "Alice", "--deposit", "500.00", "--json")
    assert opening.code == 0
    account_id = opening.document["account_id"]
    moment = datetime.now(UTC).isoformat()
    for verb, amount in (("deposit", "200"), ("withdraw", "50.00")):
        moved = await passbook("account", verb, account_id, amount, "--json")
        assert moved.document["outcome"] == "accepted"
    refused = await passbook("account", "withdraw", account_id, "1000.00", "--json")
    assert refused.code == 3
    assert refused.document["error"] == {
        "code": "insufficient_funds",
        "message": "Insufficient funds: balance=650.00, requested=1000.00",
    }
    view = await passbook("account", "show", account_id, "--min-version", 3, "--json")
    strong = await passbook("account", "show", account_id, "--strong", "--json")
    assert view.document == strong.document
    assert (view.document["balance"], view.document["status"]) == ("650.00", "active")
    past = await passbook("account", "show", account_id, "--at", moment, "--json")
    assert (past.document["balance"], past.document["version"]) == ("500.00", 1)


async def test_frozen_and_closed_accounts_refuse_money(running_passbook: Program) -> None:
    passbook = running_passbook
    opening = await passbook("account", "open", "--owner", "Bob", "--deposit", "100", "--json")
    account_id = opening.document["account_id"]
    assert (await passbook("account", "freeze", account_id, "--reason", "court order")).code == 0
    frozen = await passbook("account", "deposit", account_id, "5", "--json")
    assert frozen.code == 3
    assert frozen.document["error"]["message"] == "Cannot deposit to frozen account"
    assert (await passbook("account", "close", account_id)).code == 0
    closed = await passbook("account", "show", account_id, "--min-version", 3, "--json")
    assert closed.document["status"] == "closed"


async def test_history_and_tail_tell_the_same_events(running_passbook: Program) -> None:
    passbook = running_passbook
    account_id = str(uuid4())
    opening = ("open", "--owner", "Carol", "--deposit", "100.00", "--id", account_id)
    assert (await passbook("account", *opening)).code == 0
    async with asyncio.timeout(60), passbook.running("events", "tail", "--json") as tail:
        assert tail.stdout is not None
        first = asyncio.create_task(tail.stdout.readline())
        # It says nothing until something happens, so things happen until it says something.
        while not first.done():
            assert (await passbook("account", "deposit", account_id, "1.00")).code == 0
            await asyncio.wait({first}, timeout=0.1)
        followed = [json.loads(await first)]
        assert (await passbook("account", "close", account_id)).code == 0
        while followed[-1]["event_type"] != "AccountClosed":
            followed.append(json.loads(await tail.stdout.readline()))
        tail.send_signal(signal.SIGINT)
        assert await tail.wait() == 0
    history = (await passbook("account", "history", account_id, "--json")).document
    assert {event.pop("stream_id") for event in followed} == {account_id}
    assert followed == history[-len(followed) :]


async def test_one_command_id_moves_money_once(running_passbook: Program) -> None:
    passbook = running_passbook
    opening = await passbook("account", "open", "--owner", "Dan", "--deposit", "100", "--json")
    account_id = opening.document["account_id"]
    deposit = ("account", "deposit", account_id, "7.00", "--command-id", uuid4(), "--json")
    answers = [(await passbook(*deposit)).document for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    shown = await passbook("account", "show", account_id, "--strong", "--json")
    assert shown.document["balance"] == "107.00"


async def test_list_pages_hold_every_account_once_and_add_up(running_passbook: Program) -> None:
    passbook = running_passbook
    opened = await asyncio.gather(
        *(
            passbook("account", "open", "--owner", f"No. {n}", "--deposit", "100", "--json")
            for n in range(3)
        )
    )
    for one in opened:
        account_id = one.document["account_id"]
        assert (await passbook("account", "show", account_id, "--min-version", 1)).code == 0
    found: list[dict[str, str]] = []
    cursor = None
    while cursor or not found:
        more = ("--cursor", cursor) if cursor else ()
        page = (await passbook("account", "list", "--limit", 4, *more, "--json")).document
        found += page["accounts"]
        cursor = page["next_cursor"]
    ids = [account["account_id"] for account in found]
    assert ids == sorted(set(ids))
    assert {one.document["account_id"] for one in opened} <= set(ids)
    assert all(Decimal(account["balance"]) >= 0 for account in found)


async def test_projections_catch_up(running_passbook: Program) -> None:
    passbook = running_passbook
    assert (await passbook("account", "open", "--owner", "Eve", "--deposit", "100")).code == 0
    async with asyncio.timeout(30):
        while True:
            listed = (await passbook("projection", "list", "--json")).document
            if all(one["events_behind"] == 0 for one in listed):
                break
    assert [one["name"] for one in listed] == ["audit", "balance"]
    assert listed[0]["positions"] == listed[1]["positions"]
    assert sum(listed[0]["positions"].values()) >= 1


async def test_nothing_found_and_nothing_running_have_their_exit_codes(
    running_passbook: Program,
) -> None:
    passbook = running_passbook
    for verb in (("account", "show"), ("account", "history"), ("audit", "show")):
        assert (await passbook(*verb, uuid4())).code == 4
    assert (await passbook("account", "deposit", uuid4(), "1.00")).code == 4
    nowhere = await passbook("account", "list", "--data-dir", f"/nonexistent/{uuid4()}")
    assert nowhere.code == 69
    assert "passbook up" in nowhere.stderr
