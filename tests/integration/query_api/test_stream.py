"""The log as Server-Sent Events, over a socket, on a real PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from unittest.mock import patch
from uuid import UUID, uuid4

import orjson
import pytest
from prometheus_client import REGISTRY

from passbook.domain.account import BankAccount
from passbook.eventstore.doorbell import Doorbell
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.store import NewEvent
from passbook.service import alongside
from services.query_api.identity.callers import READ, Caller
from services.query_api.streaming import follower, stream, subscriber
from services.query_api.streaming.event_frames import Framing
from tests.support.accounts import busy, rows
from tests.support.databases import Database, OpenPool
from tests.support.http import HOST, Served, serving
from tests.support.ledger import Ledger
from tests.support.newer import append_newer
from tests.support.proxy import proxied
from tests.support.sse import Event, Stream, assert_gapless, following, numbers
from tests.support.until import until


@dataclass(frozen=True, slots=True)
class Writer:
    """Somebody else who appends."""

    store: PostgresEventStore
    bell: Doorbell

    async def append(self, events: Sequence[NewEvent]) -> None:
        """Append, and say so."""
        heads = await self.store.heads()
        touched = {event.slot: heads[event.slot] for event in events}
        await self.store.append_batch(touched, events, [])
        self.bell.ring()

    async def accounts(self, count: int, movements: int = 0, metadata: str = "{}") -> list[UUID]:
        """Append new accounts with some deposits each."""
        new = [busy(movements=movements) for _ in range(count)]
        await self.append(rows(*new, metadata=metadata))
        return [account.id for account in new]


@pytest.fixture
async def writer(pools: OpenPool, database: Database) -> AsyncIterator[Writer]:
    dsn = database.dsn("passbook_command_service")
    bell = Doorbell(dsn)
    async with alongside(bell.run()):
        yield Writer(PostgresEventStore(await pools("passbook_command_service")), bell)


def _url(served: Served) -> str:
    return f"http://{HOST}:{served.port}"


class Reader:
    """Reads as fast as it can, and checks that nothing is missing and nothing comes twice."""

    def __init__(self, live: Stream) -> None:
        self.positions: dict[int, int] = {}
        self.task = asyncio.create_task(self._read(live))

    async def _read(self, live: Stream) -> None:
        async for event in live.events():
            document = event.document
            assert document["slot_seq"] == self.positions.get(document["slot"], 0) + 1
            self.positions[document["slot"]] = document["slot_seq"]

    async def has(self, count: int) -> None:
        """Return when it has so many events."""
        await until(lambda: self.task.done() or sum(self.positions.values()) >= count, 20)
        if self.task.done():
            await self.task
            message = "the stream has ended"
            raise AssertionError(message)


async def _events(stream: Stream, count: int, deadline_s: float = 15.0) -> list[Event]:
    async with asyncio.timeout(deadline_s):
        return await stream.take(count)


def _dropped(reason: str) -> float:
    labels = {"reason": reason}
    return REGISTRY.get_sample_value("passbook_stream_dropped_total", labels) or 0.0


def _problem(body: bytes) -> str:
    code: str = orjson.loads(body)["code"]
    return code


async def test_an_event_is_the_json_of_the_history_and_whose_it_is(
    served: Served, writer: Writer
) -> None:
    async with following(_url(served)) as live:
        assert (live.status, live.headers["content-type"].partition(";")[0]) == (
            200,
            "text/event-stream",
        )
        (account_id,) = await writer.accounts(1, movements=1, metadata='{"actor": "ada"}')
        opened, deposited = await _events(live, 2)
        assert live.parser.retry_ms > 0
    page = (await served.client.get(f"/v1/accounts/{account_id}/events")).json()
    assert [e.document for e in (opened, deposited)] == [
        event | {"stream_id": str(account_id)} for event in page["events"]
    ]
    assert [e.type for e in (opened, deposited)] == ["bank.AccountOpened", "bank.MoneyDeposited"]
    slot = opened.document["slot"]
    assert [e.id for e in (opened, deposited)] == [f"{slot}:1", f"{slot}:2"]


async def test_whoever_comes_again_gets_the_rest_and_nothing_twice(
    served: Served, writer: Writer
) -> None:
    """Clients break off and resume while three writers append; one starts at the beginning late.

    Seen to fail: with `join` before the last positions were read, numbers were missing; with ids that
    leave out the other slots, numbers came twice.
    """
    total = 3 * 20 * 6

    async def writing() -> None:
        for _ in range(20):
            await writer.accounts(3, movements=5)

    async def reading() -> list[Event]:
        got: list[Event] = []
        token = "0:0"
        while len(got) < total:
            async with following(_url(served), last_event_id=token) as live:
                for _ in range(25):
                    got += [event async for event in _one(live)]
                    if len(got) == total:
                        break
            token = got[-1].id
        return got

    async def late() -> list[Event]:
        await until(written.done)
        async with following(_url(served), "from=beginning") as live:
            return await _events(live, total)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        readers = [group.create_task(reading()) for _ in range(4)]
        written = group.create_task(writing())
        readers.append(group.create_task(late()))
    heads = {slot: head for slot, head in (await writer.store.heads()).items() if head}
    for reader in readers:
        assert_gapless(reader.result())
        assert {slot: came[-1] for slot, came in numbers(reader.result()).items()} == heads


async def _one(live: Stream) -> AsyncIterator[Event]:
    for event in await live.take(1):
        yield event


async def test_a_filter_passes_over_and_the_position_moves_on(
    served: Served, writer: Writer
) -> None:
    one, other = await writer.accounts(2)
    wanted = f"account={one}&type=bank.AccountOpened,bank.MoneyDeposited"
    with patch.object(stream, "HEARTBEAT_S", 0.05):
        async with following(_url(served), wanted) as live:
            begun = live.parser.last_id
            await writer.accounts(5, movements=3)
            await live.more()

            async def moved() -> bool:
                await live.more()
                return live.parser.last_id not in {begun, ""} and live.parser.comments > 0

            await until(moved)
            token = live.parser.last_id
    assert token.count(",") >= 1
    both = f"account={one}&account={other}&type=bank.AccountOpened"
    async with following(_url(served), f"{both}&from=beginning") as live:
        assert {event.document["stream_id"] for event in await _events(live, 2)} == {
            str(one),
            str(other),
        }
    # The query resumes too, and the header goes before it.
    async with following(_url(served), "last_event_id=0:0", last_event_id=token) as live:
        (account_id,) = await writer.accounts(1)
        (event,) = await _events(live, 1)
        assert event.document["stream_id"] == str(account_id)


async def test_a_caller_sees_the_own_accounts_and_can_tell_nothing_of_others(
    served: Served, writer: Writer
) -> None:
    """Seen to fail: with `Selection.wants` that does not look at the owner, ada got bob's events."""

    async def authenticate(headers: Sequence[str], /) -> Caller:
        return Caller(headers[0], frozenset({READ}))

    await writer.accounts(2, movements=1, metadata='{"actor": "bob"}')
    (hers,) = await writer.accounts(1, movements=1, metadata='{"actor": "ada"}')
    await writer.accounts(1)  # nobody's
    served.app.state.authenticator = authenticate
    ada = {"Authorization": "ada"}
    async with following(_url(served), "from=beginning", headers=ada) as live:
        await _events(live, 2)
        (bobs,) = await writer.accounts(1, movements=2, metadata='{"actor": "bob"}')
        (later,) = await writer.accounts(1, movements=2, metadata='{"actor": "ada"}')
        live_events = await _events(live, 3)
        assert {event.document["stream_id"] for event in live_events} == {str(later)}
        # An account that was there before: nothing in the batch says whose it is.
        account = BankAccount.open(hers, "Ada", busy().balance)
        account.clear_pending()
        served.app.state.backend.owners.__init__()
        for _ in range(2):
            account.deposit(busy().balance)
        movement = rows(account)[1]._replace(version=3)
        await writer.append([movement])
        assert [e.document["stream_id"] for e in await _events(live, 1)] == [str(hers)]
    async with following(_url(served), f"account={hers}", headers=ada) as live:
        assert live.status == 200
    for foreign in (bobs, uuid4()):
        async with following(_url(served), f"account={hers},{foreign}", headers=ada) as live:
            assert (live.status, _problem(await live.body())) == (404, "account_not_found")


async def test_a_position_that_the_log_does_not_have_is_refused(
    served: Served, writer: Writer
) -> None:
    await writer.accounts(1)
    heads = await writer.store.heads()
    (slot,) = [slot for slot, head in heads.items() if head]
    for token, status, code in (
        ("64:1", 400, "malformed"),
        ("x", 400, "malformed"),
        (f"{slot}:1,{slot}:1", 400, "malformed"),
        (f"{slot}:2", 409, "position_unknown"),
        ("1" * 3000, 400, "malformed"),
    ):
        async with following(_url(served), last_event_id=token) as live:
            assert (live.status, _problem(await live.body())) == (status, code)
    for query in (
        "account=x", "account=", "type=AccountOpened", "type=", "from=then", "since=now",
        f"account={','.join([str(uuid4())] * 101)}", "from=now&from=now", "last_event_id=3",
    ):  # fmt: skip
        async with following(_url(served), query) as live:
            assert (live.status, _problem(await live.body())) == (400, "malformed"), query


async def test_a_restored_store_ends_the_stream(served: Served, writer: Writer) -> None:
    """Its numbers will be given again to other events: who went on would miss them."""
    await writer.accounts(1)
    nothing = dict.fromkeys(range(64), 0)
    async with following(_url(served), "from=beginning") as live:
        await _events(live, 1)
        with patch.object(PostgresEventStore, "heads", return_value=nothing):
            writer.bell.ring()
            (last,) = await _events(live, 1)
            assert (last.type, last.document["code"]) == ("error", "position_unknown")
            assert await live.more() == []
            assert live.ended


async def test_an_event_that_is_too_new_ends_the_streams_that_want_it(
    served: Served, writer: Writer
) -> None:
    """Seen to fail: with frames that are skipped when they have no text, the stream went on."""
    account_id = uuid4()
    async with (
        following(_url(served)) as live,
        following(_url(served), "type=bank.AccountOpened") as openings,
    ):
        await append_newer(writer.store, account_id)
        writer.bell.ring()
        opened, last = await _events(live, 2)
        assert (opened.type, last.type) == ("bank.AccountOpened", "error")
        assert last.document["code"] == "unreadable"
        assert "MoneyDeposited of schema version 99" in last.document["detail"]
        assert last.id == opened.id
        assert await live.more() == []
        assert live.ended
        await writer.accounts(1)
        assert len(await _events(openings, 2)) == 2
    # Whoever comes again with the last id is told the same, and nothing behind it.
    async with following(_url(served), last_event_id=last.id) as again:
        (refused,) = await _events(again, 1)
        assert refused.document["code"] == "unreadable"


async def test_a_bug_in_the_follower_ends_streams_that_can_be_resumed(
    served: Served, writer: Writer
) -> None:
    """Seen to fail: without the catch-all in `Follower._follow` the stream stayed open and silent."""
    async with following(_url(served)) as live:
        begun = (await _events_after(live, writer))[-1].id
        with patch.object(Framing, "frame", side_effect=RuntimeError("a bug")):
            await writer.accounts(1)
            async with asyncio.timeout(5):
                assert [event async for event in live.events()] == []
        assert live.ended
    async with following(_url(served), last_event_id=begun) as again:
        await _events(again, 1)


async def _events_after(live: Stream, writer: Writer) -> list[Event]:
    await writer.accounts(1)
    return await _events(live, 1)


async def test_who_does_not_read_is_dropped_and_nobody_else_notices(
    served: Served, writer: Writer
) -> None:
    """Seen to fail: with a queue without a bound nobody was dropped."""
    before = _dropped("queue")
    count = 0
    async with AsyncExitStack() as stack:
        stuck = [
            await stack.enter_async_context(following(_url(served), receive_buffer=4096))
            for _ in range(3)
        ]
        healthy = [await stack.enter_async_context(following(_url(served))) for _ in range(3)]
        readers = [Reader(live) for live in healthy]
        async with asyncio.timeout(30):
            while _dropped("queue") < before + len(stuck):
                await writer.accounts(20, movements=19)
                count += 400
        entered = served.app.state.follower._entered
        await until(lambda: len(entered) == len(healthy))
        for reader in readers:
            await reader.has(count)
            reader.task.cancel()
        for live in stuck:
            # What was on its way may still come, and then the connection is broken: no end in order.
            with pytest.raises((EOFError, ConnectionError)):
                [event async for event in live.events()]
    assert _dropped("queue") == before + len(stuck)


async def test_who_takes_nothing_for_long_is_dropped_with_a_short_queue_too(
    served: Served, writer: Writer
) -> None:
    before = _dropped("timeout")
    with (
        patch.object(stream, "WRITE_TIMEOUT_S", 0.3),
        patch.object(subscriber, "QUEUE_BYTES", 1 << 30),
    ):
        async with following(_url(served), receive_buffer=4096):
            async with asyncio.timeout(30):
                while _dropped("timeout") == before:
                    await writer.accounts(20, movements=19)
            await until(lambda: not served.app.state.follower._entered)


async def test_the_head_of_a_stream_is_an_answer_that_ends(served: Served) -> None:
    async with asyncio.timeout(5):
        answer = await served.client.head("/v1/events")
        assert (answer.status_code, answer.content) == (200, b"")
        # On the same connection.
        refused = await served.client.head("/v1/events", headers={"Last-Event-ID": "x"})
        assert refused.status_code == 400
    await until(lambda: not served.app.state.follower._entered)


async def test_there_are_only_so_many_clients(served: Served) -> None:
    with patch.object(follower, "MOST_CLIENTS", 2):
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(following(_url(served)))
            async with following(_url(served)) as third:
                assert (third.status, _problem(await third.body())) == (503, "overloaded")
                assert int(third.headers["retry-after"]) > 0
        await until(lambda: not served.app.state.follower._entered)
        async with following(_url(served)) as again:
            assert again.status == 200


async def test_the_log_is_read_only_while_somebody_follows_it(
    served: Served, writer: Writer
) -> None:
    with patch.object(
        PostgresEventStore, "read_log", autospec=True, side_effect=PostgresEventStore.read_log
    ) as read:
        await writer.accounts(1)
        (answer,) = [await served.client.get("/v1/projections")]
        assert (answer.status_code, read.call_count) == (200, 0)
        async with following(_url(served)):
            await until(lambda: read.call_count)
        await until(lambda: not served.app.state.follower._needed.is_set())
        calls = read.call_count
        await writer.accounts(1)
        assert (await served.client.get("/v1/projections")).status_code == 200
        assert read.call_count == calls


async def test_while_postgresql_is_away_streams_stay_and_miss_nothing(
    ledger: Ledger, writer: Writer, database: Database
) -> None:
    async with (
        proxied(database.dsn("passbook_query_api")) as (proxy, dsn),
        serving(ledger.settings("passbook_query_api", dsn)) as served,
        following(_url(served), "from=beginning") as live,
    ):
        await writer.accounts(1, movements=1)
        seen = await _events(live, 2)
        proxy.refuse()
        await writer.accounts(2, movements=2)
        async with following(_url(served)) as refused:
            assert refused.status == 503
            assert refused.headers["retry-after"]
        proxy.mend()
        seen += await _events(live, 6)
    assert_gapless(seen)


async def test_the_end_of_the_service_ends_streams_in_order_and_at_once(
    ledger: Ledger, writer: Writer
) -> None:
    """Also that of a client which does not read. Seen to fail: with `end` instead of `stop` for all
    it took the server's 5 s.
    """
    async with (
        serving(ledger.settings("passbook_query_api")) as served,
        following(_url(served), receive_buffer=4096),
    ):
        assert served.part is not None
        (stuck,) = served.app.state.follower._entered
        with patch.object(subscriber, "QUEUE_BYTES", 1 << 30):
            while not (stuck.sending and stuck._bytes):
                await writer.accounts(20, movements=19)
        async with following(_url(served)) as live:
            await live.more()
            started = time.monotonic()
            await served.part.stop()
            assert time.monotonic() - started < 2
            assert [event async for event in live.events()] == []
            assert live.ended
