"""Reading over HTTP: balances, the past, histories, and how far everything is."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from passbook.contracts.event_documents import event_document
from passbook.domain.account import BankAccount
from passbook.eventstore.past import account_at_version
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.repository import AccountRepository, SnapshottingAccountRepository
from passbook.eventstore.snapshots_postgres import PostgresSnapshotStore
from passbook.eventstore.store import RecordedEvent
from passbook.messaging.cloudevents import format_time
from passbook.projection.lag import projection_lags
from services.audit_projector.projection import AuditProjection
from services.audit_projector.queries import audit_trail
from services.balance_projector.documents import folded_state
from services.balance_projector.projection import BalanceProjection
from tests.support.accounts import busy, opened
from tests.support.databases import OpenPool
from tests.support.http import Served
from tests.support.ledger import Ledger, running
from tests.support.projected import project

CatchUp = Callable[[], Awaitable[None]]


@pytest.fixture
async def owner(pools: OpenPool) -> asyncpg.Pool:
    return await pools()


@pytest.fixture
def repository(owner: asyncpg.Pool) -> AccountRepository:
    return AccountRepository(PostgresEventStore(owner))


@pytest.fixture
def catch_up(owner: asyncpg.Pool) -> CatchUp:
    async def catch_up() -> None:
        await project(owner, BalanceProjection(), AuditProjection())

    return catch_up


@pytest.fixture
async def account(repository: AccountRepository, catch_up: CatchUp) -> BankAccount:
    """Give an account of Ada's as the view has it: opened with 100.00, then 1.00 twice."""
    account = busy(movements=2)
    await repository.save(account)
    await catch_up()
    return account


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_an_account_is_shown_with_its_version_and_time(
    served: Served, account: BankAccount, owner: asyncpg.Pool
) -> None:
    last = (await PostgresEventStore(owner).history(account.id))[-1]

    answer = await served.client.get(f"/v1/accounts/{account.id}")

    assert answer.json() == {
        "account_id": str(account.id),
        "owner_name": "Ada",
        "balance": "102.00",
        "status": "active",
        "version": 3,
        "as_of": {"version": 3, "recorded_at": format_time(last.recorded_at)},
    }
    assert answer.headers["etag"] == '"v3"'
    assert _code(await served.client.get(f"/v1/accounts/{uuid4()}")) == (404, "account_not_found")


async def test_what_is_known_is_not_sent_again(served: Served, account: BankAccount) -> None:
    path = f"/v1/accounts/{account.id}"
    for known in ('"v3"', 'W/"v3"', '"v2", "v3"', "*"):
        answer = await served.client.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b""), known
        assert answer.headers["etag"] == '"v3"'
    for other in ('"v2"', '"v33"', "v3"):
        answer = await served.client.get(path, headers={"If-None-Match": other})
        assert answer.status_code == 200, other
    head = await served.client.head(path)
    assert (head.status_code, head.content) == (200, b"")


async def test_the_events_know_more_than_the_view_and_the_past(
    served: Served, account: BankAccount, repository: AccountRepository, owner: asyncpg.Pool
) -> None:
    first = (await PostgresEventStore(owner).history(account.id))[0].recorded_at
    account.withdraw(account.balance, "all of it")
    await repository.save(account)
    path = f"/v1/accounts/{account.id}"

    async def balance(query: str) -> Any:
        answer = await served.client.get(f"{path}?{query}")
        assert answer.status_code == 200, answer.text
        return answer.json()["balance"], answer.json()["version"], answer.headers["etag"]

    assert await balance("") == ("102.00", 3, '"v3"')
    assert await balance("consistency=strong") == ("0.00", 4, '"v4"')
    assert await balance("version=2") == ("101.00", 2, '"v2"')
    assert await balance(f"at={format_time(first)}") == ("102.00", 3, '"v3"')

    early = format_time(first - timedelta(seconds=1))
    get = served.client.get
    assert _code(await get(f"{path}?at={early}")) == (404, "account_not_found")
    assert _code(await get(f"{path}?version=9")) == (404, "version_not_found")
    assert _code(await get(f"{path}?at=2999-01-01T00:00:00Z")) == (400, "moment_not_past")
    assert _code(await get(f"/v1/accounts/{uuid4()}?version=1")) == (404, "account_not_found")


async def test_a_long_history_is_folded_from_a_snapshot(
    served: Served, owner: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail: without the snapshot, all 231 events were read for the balance of now."""
    store = PostgresEventStore(owner)
    long = SnapshottingAccountRepository(store, PostgresSnapshotStore(owner))
    account = opened()
    for movements in (99, 100, 31):
        for _ in range(movements):
            account.deposit(Decimal("1.00"), "")
        await long.save(account)
    read_after = []
    history = PostgresEventStore.history

    async def noting(
        self: PostgresEventStore, stream_id: UUID, after: int = 0, limit: int | None = None
    ) -> list[RecordedEvent]:
        read_after.append(after)
        return await history(self, stream_id, after, limit)

    monkeypatch.setattr(PostgresEventStore, "history", noting)
    for query, version in (
        ("consistency=strong", 231),
        ("version=231", 231),
        ("version=200", 200),
        ("version=150", 150),
        ("version=100", 100),
        ("version=7", 7),
    ):
        shown = (await served.client.get(f"/v1/accounts/{account.id}?{query}")).json()
        wanted = await account_at_version(store, account.id, version)
        assert wanted is not None
        assert shown == folded_state(wanted).to_dict(), query
    assert read_after[0] == 200
    never = await served.client.get(f"/v1/accounts/{account.id}?version=232")
    assert _code(never) == (404, "version_not_found")


async def test_a_question_that_contradicts_itself_is_refused(
    served: Served, account: BankAccount
) -> None:
    """Seen to fail: without `plain_query` a misspelt parameter got the answer to another question."""
    for query in (
        "at=2026-01-01T00:00:00Z&version=1",
        "consistency=strong&min_version=2",
        "version=1&min_version=1",
        "consistency=eventual",
        "min_verson=9",
        "version=0",
        "version=2147483648",
        "version=1&version=2",
        "at=yesterday",
        "at=2026-01-01T00:00:00",
        "at=9999-12-31T23:59:59",
    ):
        answer = await served.client.get(f"/v1/accounts/{account.id}?{query}")
        assert _code(answer) == (400, "malformed"), query


async def test_min_version_waits_for_the_view(
    served: Served, account: BankAccount, repository: AccountRepository, ledger: Ledger
) -> None:
    """Seen to fail: without the wait the first answer showed version 3."""
    path = f"/v1/accounts/{account.id}"
    account.deposit(account.balance, "twice as much")
    await repository.save(account)
    behind = await served.client.get(f"{path}?min_version=4&wait=0.2")
    assert _code(behind) == (503, "not_that_far")
    assert (behind.headers["retry-after"], behind.json()["version"]) == ("1", 3)

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(served.client.get(f"{path}?min_version=4&wait=20"))
        async with running(ledger.relay()), running(ledger.balances()):
            answer = await waiting
    assert (answer.status_code, answer.json()["version"]) == (200, 4)


async def test_accounts_are_listed_in_pages(
    served: Served, repository: AccountRepository, catch_up: CatchUp
) -> None:
    accounts = [opened() for _ in range(5)]
    for account in accounts:
        await repository.save(account)
    await catch_up()
    for query in ("", "&at=2999-01-01T00:00:00Z"):
        found: list[str] = []
        cursor = ""
        while True:
            answer = await served.client.get(f"/v1/accounts?limit=2{cursor}{query}")
            if query:
                assert _code(answer) == (400, "moment_not_past")
                break
            page = answer.json()
            assert len(page["accounts"]) <= 2
            assert all(account["as_of"]["recorded_at"] for account in page["accounts"])
            found += [account["account_id"] for account in page["accounts"]]
            if page["next_cursor"] is None:
                assert found == sorted(str(account.id) for account in accounts)
                break
            cursor = f"&cursor={page['next_cursor']}"
    for wrong in (
        "limit=0",
        "limit=1001",
        "cursor=no",
        "cursor=" + "x" * 41,
        "limit=1.0",
        "limit=1_0",
    ):
        assert _code(await served.client.get(f"/v1/accounts?{wrong}")) == (400, "malformed"), wrong


async def test_accounts_of_the_past_are_listed_in_pages(
    served: Served, repository: AccountRepository, owner: asyncpg.Pool
) -> None:
    accounts = [opened() for _ in range(3)]
    for account in accounts:
        await repository.save(account)
    moment = await owner.fetchval("SELECT clock_timestamp()")
    later = opened()
    await repository.save(later)
    query = f"/v1/accounts?limit=2&at={format_time(moment)}"

    first = (await served.client.get(query)).json()
    second = (await served.client.get(f"{query}&cursor={first['next_cursor']}")).json()

    found = [account["account_id"] for account in first["accounts"] + second["accounts"]]
    assert found == sorted(str(account.id) for account in accounts)
    assert second["next_cursor"] is None


async def test_histories_and_audit_trails_come_in_pages(
    served: Served, account: BankAccount, owner: asyncpg.Pool
) -> None:
    events = [event_document(one) for one in await PostgresEventStore(owner).history(account.id)]
    entries = [entry.to_dict() for entry in await audit_trail(owner, account.id)]
    for what, name, wanted in (("events", "events", events), ("audit", "entries", entries)):
        path = f"/v1/accounts/{account.id}/{what}"
        first = (await served.client.get(f"{path}?limit=2")).json()
        after = first["next_after_version"]
        second = (await served.client.get(f"{path}?limit=2&after_version={after}")).json()
        assert first[name] + second[name] == wanted
        assert second["next_after_version"] is None
        beyond = (await served.client.get(f"{path}?after_version=3")).json()
        assert beyond == {name: [], "next_after_version": None}
        nobody = await served.client.get(f"/v1/accounts/{uuid4()}/{what}")
        assert _code(nobody) == (404, "account_not_found")


@pytest.mark.usefixtures("account")
async def test_operators_see_how_far_everything_is(served: Served, owner: asyncpg.Pool) -> None:
    lags = await projection_lags(owner, owner)
    assert (await served.client.get("/v1/projections")).json() == [lag.to_dict() for lag in lags]

    figures = (await served.client.get("/v1/overview")).json()

    assert figures["accounts"] == {"active": 1, "frozen": 0, "closed": 0}
    assert (figures["balance_sum"], figures["events"]) == ("102.00", 3)
    assert figures["relay"]["backlog_events"] == 3
    assert {lag["name"]: lag["events_behind"] for lag in figures["projections"]} == {
        "audit": 0,
        "balance": 0,
    }


async def test_figures_are_not_taken_for_everybody_who_asks(
    served: Served, repository: AccountRepository
) -> None:
    """Seen to fail: without the cache, the second answer counted the new events."""
    before = (await served.client.get("/v1/overview")).json()
    await repository.save(opened())
    assert (await served.client.get("/v1/overview")).json() == before
