"""Both projectors as they run, from Kafka."""

from uuid import uuid4

import asyncpg
import pytest

from passbook.eventstore.errors import StoreMismatch
from passbook.eventstore.postgres import PostgresEventStore
from services.audit_projector.chain import GENESIS
from services.audit_projector.verify import verify
from services.balance_projector.projection import BalanceProjection
from tests.integration.projection.reading import balances, folded, positions, write_history
from tests.support.databases import Connect
from tests.support.ledger import Ledger, Part, running
from tests.support.outsider import Message, header
from tests.support.until import until


async def _current(store: PostgresEventStore, reader: asyncpg.Connection, *names: str) -> None:
    """Wait until these projections have applied the whole log."""
    heads = {slot: head for slot, head in (await store.heads()).items() if head}

    async def current() -> bool:
        return all([await positions(reader, name) == heads for name in names])

    await until(current, 30)


async def test_both_read_models_become_current(
    ledger: Ledger, store: PostgresEventStore, reader: asyncpg.Connection
) -> None:
    await write_history(store, 1, accounts=30, steps=300)
    async with running(ledger.relay()), running(ledger.balances()), running(ledger.audit()):
        await _current(store, reader, "balance", "audit")
        await write_history(store, 2, accounts=5, steps=50)
        await _current(store, reader, "balance", "audit")
    assert await balances(reader) == await folded(store, await store.heads())


async def test_a_group_whose_offsets_were_set_to_the_end_still_becomes_complete(
    ledger: Ledger, store: PostgresEventStore, reader: asyncpg.Connection
) -> None:
    """Also in slots to which nothing new ever comes: Kafka will not deliver what is missing there.

    Seen to fail: without `ProjectionRuntime._heal`.
    """
    await write_history(store, 1, accounts=20, steps=200)
    async with running(ledger.relay()):
        heads = await store.heads()

        async def published() -> bool:
            return await store.published() == heads

        await until(published, 20)
        await ledger.outsider.commit_ends("events", "balance-projector")
        async with running(ledger.balances()):
            await _current(store, reader, "balance")
    assert await balances(reader) == await folded(store, heads)


async def test_read_models_that_were_restored_to_the_past_become_complete_again(
    ledger: Ledger, store: PostgresEventStore, reader: asyncpg.Connection, connect: Connect
) -> None:
    """While the projector runs, and though nothing new comes. Seen to fail: it believed to be where it
    had been, with a lag of 0, until the next event of each slot.
    """
    owner = await connect()
    await write_history(store, 1, accounts=5, steps=50)
    async with running(ledger.relay()), running(ledger.balances()):
        await _current(store, reader, "balance")
        async with owner.transaction():
            await owner.execute("DELETE FROM balances.accounts")
            await owner.execute(
                "UPDATE projections.positions SET slot_seq = 0 WHERE projection = 'balance'"
            )
        await _current(store, reader, "balance")
    assert await balances(reader) == await folded(store, await store.heads())


async def test_two_instances_share_the_work(
    ledger: Ledger, store: PostgresEventStore, reader: asyncpg.Connection
) -> None:
    """The second one comes and goes while events flow."""
    async with running(ledger.relay()), running(ledger.audit()), running(ledger.balances()):
        await write_history(store, 1, accounts=20, steps=100)
        async with running(ledger.audit()), running(ledger.balances()):
            await write_history(store, 2, accounts=20, steps=100)
            await _current(store, reader, "balance", "audit")
        await write_history(store, 3, accounts=20, steps=100)
        await _current(store, reader, "balance", "audit")
    heads = await store.heads()
    assert await balances(reader) == await folded(store, heads)
    assert await reader.fetchval("SELECT count(*) FROM audit.entries") == sum(heads.values())


async def test_invariant_6_the_audit_chain_goes_on_across_restarts_and_crashes(
    ledger: Ledger, store: PostgresEventStore, reader: asyncpg.Connection, connect: Connect
) -> None:
    """Every entry names the hash of the one before it, from the first one on.

    Seen to fail: with every batch chained to the genesis.
    """
    async with running(ledger.relay()):
        for seed in range(4):
            auditor = Part(ledger.audit())
            await write_history(store, seed, accounts=10, steps=50)
            if seed % 2:
                await auditor.ready()
                await until(lambda: positions(reader, "audit"))
                await auditor.crash()
            else:
                await _current(store, reader, "audit")
                await auditor.stop()
        async with running(ledger.audit()):
            await _current(store, reader, "audit")

    last = dict.fromkeys(range(64), GENESIS)
    for entry in await reader.fetch("SELECT * FROM audit.entries ORDER BY slot, slot_seq"):
        assert entry["prev_hash"] == last[entry["slot"]]
        last[entry["slot"]] = entry["hash"]
    verified = await verify(reader, await connect("passbook_reader"), lambda *_: None)
    assert verified.ok, verified.differences
    assert verified.entries == sum((await store.heads()).values())


async def test_a_record_that_is_no_event_of_ours_goes_to_the_dead_letters(
    ledger: Ledger, store: PostgresEventStore, reader: asyncpg.Connection
) -> None:
    foreign = Message(b"x", b"nonsense", [("ce_id", None), ("colour", b"blue")], 1)
    no_slot = Message(b"y", b"{}", [("ce_slot", b"64"), ("ce_slotseq", b"1")], 2)
    await ledger.outsider.send(foreign, no_slot, topic="events")
    async with running(ledger.relay()), running(ledger.balances()):
        await write_history(store, 1, accounts=20, steps=20)
        await _current(store, reader, "balance")
    letters = await ledger.outsider.everything("events.balance.dlq")
    assert {letter.key for letter in letters} == {b"x", b"y"}
    for letter in letters:
        assert header(letter, "dlq-topic") == ledger.topics.events
        assert header(letter, "dlq-error").startswith("not an event of ours")


async def test_a_read_model_of_another_event_store_is_refused(
    ledger: Ledger, store: PostgresEventStore, reader: asyncpg.Connection, connect: Connect
) -> None:
    async with running(ledger.relay()), running(ledger.balances()):
        await write_history(store, 1, accounts=2, steps=2)
        await _current(store, reader, "balance")
    owner = await connect()
    await owner.execute("UPDATE eventstore.store_info SET environment_id = $1", uuid4())

    failure = await Part(ledger.balances()).failure()

    assert isinstance(failure, StoreMismatch)
    assert "use the read models that belong to it" in str(failure)


async def test_a_projection_of_another_version_is_refused(ledger: Ledger, connect: Connect) -> None:
    owner = await connect()
    await owner.execute("UPDATE projections.installed SET version = 7 WHERE projection = 'balance'")
    projection = BalanceProjection()
    failure = await Part(ledger.projector(projection)).failure()
    assert isinstance(failure, StoreMismatch)
    assert f"projection balance {projection.version} is not installed; migrate" in str(failure)


async def test_offsets_are_committed_while_nothing_new_comes(
    ledger: Ledger, store: PostgresEventStore, reader: asyncpg.Connection
) -> None:
    """What lag tools see of an idle projector is no lag.

    Seen to fail: before it was mended, the last batch was committed with the next one only.
    """
    async with running(ledger.relay()), running(ledger.balances()):
        for seed in range(3):
            await write_history(store, seed, accounts=20, steps=20)
            await _current(store, reader, "balance")
        await until(lambda: _no_lag(ledger, "balance-projector"))


async def _no_lag(ledger: Ledger, group: str) -> bool:
    return await ledger.lag("events", group) == 0


@pytest.mark.parametrize("signal", ["stop", "crash"])
async def test_a_projector_that_was_ended_goes_on_where_it_was(
    ledger: Ledger, store: PostgresEventStore, reader: asyncpg.Connection, signal: str
) -> None:
    async with running(ledger.relay()):
        for seed in range(3):
            await write_history(store, seed, accounts=10, steps=50)
            projector = Part(ledger.balances())
            await projector.ready()
            await until(lambda: positions(reader, "balance"))
            await getattr(projector, signal)()
        async with running(ledger.balances()):
            await _current(store, reader, "balance")
    assert await balances(reader) == await folded(store, await store.heads())
