"""Snapshots of a command service on real servers: written beside the work, used for cold accounts."""

import time
from decimal import Decimal
from typing import Final
from uuid import UUID, uuid4

import asyncpg

from passbook.domain.account import BankAccount
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.repository import AccountRepository
from passbook.eventstore.snapshot_verification import verify_snapshots
from passbook.eventstore.snapshots import Snapshot
from passbook.eventstore.snapshots_postgres import PostgresSnapshotStore
from tests.support.accounts import busy
from tests.support.databases import Connect, OpenPool
from tests.support.ledger import Ledger, running
from tests.support.outsider import Message, command, error_code
from tests.support.until import until

_VERSIONS: Final = "SELECT version FROM eventstore.snapshots WHERE stream_id = $1 ORDER BY version"
_QUICK_S: Final = 2.0


def _deposits(account_id: UUID, count: int) -> list[Message]:
    return [command("DepositMoney", str(account_id), amount="1.00") for _ in range(count)]


async def _answers(ledger: Ledger, *messages: Message) -> list[str]:
    await ledger.outsider.send(*messages)
    found = await ledger.outsider.outcomes([message.command_id for message in messages])
    return [error_code(found[message.command_id][0]) for message in messages]


async def test_snapshots_are_written_and_right(ledger: Ledger, pools: OpenPool) -> None:
    """The newest of those that one batch crosses, and nothing is left unwritten at an ordered end."""
    owner: asyncpg.Pool = await pools()
    account_id = uuid4()
    opening = command("OpenAccount", str(account_id), owner_name="Ada", initial_deposit="100.00")
    async with running(ledger.command_service()):
        await _answers(ledger, opening, *_deposits(account_id, 250))
        await _answers(ledger, *_deposits(account_id, 100))
    versions = [row[0] for row in await owner.fetch(_VERSIONS, account_id)]
    assert versions
    assert versions[-1] == 300
    assert set(versions) <= {100, 200, 300}
    found = await verify_snapshots(owner, PostgresEventStore(owner))
    assert (found.ok, found.checked) == (True, len(versions))


async def test_a_cold_account_is_decided_on_its_snapshot_and_what_came_after(
    ledger: Ledger, pools: OpenPool
) -> None:
    """Shown with a snapshot of a balance that never was, valid in itself: it is believed, which is
    why `snapshot verify` exists.

    Seen to fail: with a cache without snapshots, by `insufficient_funds` at the first one.
    """
    pool = await pools()
    store, snapshots = PostgresEventStore(pool), PostgresSnapshotStore(pool)
    account = busy(movements=4)
    await AccountRepository(store).save(account)
    other = BankAccount.replay(account.id, (await store.load(account.id))[:4])
    other.balance = Decimal("1000.00")
    await snapshots.save([Snapshot.of(other)])
    async with running(ledger.command_service()):
        large = command("WithdrawMoney", str(account.id), amount="1001.01")
        exact = command("WithdrawMoney", str(account.id), amount="1001.00")
        assert await _answers(ledger, large, exact) == ["insufficient_funds", "accepted"]


async def test_commands_are_answered_while_the_snapshot_table_is_locked(
    ledger: Ledger, pools: OpenPool, connect: Connect
) -> None:
    """Neither a cold account, which is then replayed, nor a snapshot that is due waits for it; when
    the lock is gone, the next ones are written.

    Seen to fail: without `lock_timeout` in `newest_snapshots` the first answer took five seconds,
    the time limit of a call; with the write awaited in `_append` the second never came.
    """
    pool = await pools()
    cold = busy(movements=98)
    await AccountRepository(PostgresEventStore(pool)).save(cold)
    operator = await connect()
    async with running(ledger.command_service()):
        opening = command("OpenAccount", str(uuid4()), owner_name="A", initial_deposit="100.00")
        await _answers(ledger, opening)
        async with operator.transaction():
            await operator.execute("LOCK TABLE eventstore.snapshots IN ACCESS EXCLUSIVE MODE")
            for message in _deposits(cold.id, 3):
                began = time.monotonic()
                assert await _answers(ledger, message) == ["accepted"]
                assert time.monotonic() - began < _QUICK_S
        await _answers(ledger, *_deposits(cold.id, 98))

        async def is_written() -> bool:
            return 200 in [row[0] for row in await pool.fetch(_VERSIONS, cold.id)]

        await until(is_written)


async def test_a_service_without_the_right_to_write_snapshots_decides_all_the_same(
    ledger: Ledger, pools: OpenPool
) -> None:
    """They are a convenience: a failure is logged and counted, and is nobody's problem. A service
    that has not the right when it starts is refused; this one loses it.
    """
    owner = await pools()
    account = busy(movements=98)
    await AccountRepository(PostgresEventStore(owner)).save(account)
    async with running(ledger.command_service()):
        await owner.execute(
            "REVOKE EXECUTE ON FUNCTION eventstore.save_snapshots FROM passbook_command_service"
        )
        assert await _answers(ledger, *_deposits(account.id, 3)) == ["accepted"] * 3
    assert await owner.fetch(_VERSIONS, account.id) == []
