"""The third part of the story: what keeps a ledger usable when its log is long and old."""

import asyncio
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID, uuid4

import asyncpg
import orjson

from passbook.cli.demo.asking import ACTOR
from passbook.cli.demo.report import Report
from passbook.client import PassbookClient
from passbook.domain.commands import DepositMoney, OpenAccount
from passbook.domain.slots import slot_of
from passbook.domain.stamps import system_stamp
from passbook.eventstore.errors import SlotMoved
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.repository import AccountRepository, SnapshottingAccountRepository
from passbook.eventstore.snapshots import INTERVAL
from passbook.eventstore.snapshots_postgres import PostgresSnapshotStore
from passbook.eventstore.store import NewEvent

_PAYMENTS: Final = 2 * INTERVAL + INTERVAL // 2
_WRITTEN_BOUND_S: Final = 10.0
_LOOK_AGAIN_S: Final = 0.005
_ATTEMPTS: Final = 20


class Keeping:
    """Makes a long history and an old event, and reads both."""

    def __init__(
        self,
        client: PassbookClient,
        pool: asyncpg.Pool,
        store: PostgresEventStore,
        report: Report,
    ) -> None:
        """Ask through `client`; `pool` and `store` are of the login of the command service."""
        self._client = client
        self._snapshots = PostgresSnapshotStore(pool)
        self._store = store
        self._report = report

    async def play(self) -> None:
        """Play both chapters."""
        await self._long_history(uuid4())
        await self._old_event(uuid4())

    async def _long_history(self, carol: UUID) -> None:
        self._report.chapter(
            "A long history",
            f"Every {INTERVAL} versions the command service leaves a snapshot behind, off the hot "
            "path. Nobody has to believe it: its hash, its fold and its event are checked.",
        )
        await self._client.execute(OpenAccount(carol, "Carol", Decimal("100.00")), actor=ACTOR)
        payment = DepositMoney(carol, Decimal("1.00"), "a card payment")
        began = time.perf_counter()
        outcomes = await asyncio.gather(
            *(self._client.execute(payment, actor=ACTOR) for _ in range(_PAYMENTS))
        )
        took_s = time.perf_counter() - began
        self._report.check(
            f"Carol gets {_PAYMENTS} payments",
            f"{took_s * 1000:.0f} ms  sent together, each with an outcome of its own",
            ok=all(outcome.accepted for outcome in outcomes),
        )
        version = await self._newest_snapshot(carol, _PAYMENTS // INTERVAL * INTERVAL)
        self._report.check(
            "a snapshot was left behind", f"of version {version}", ok=version >= INTERVAL
        )
        replayed, replay_ms = await _timed(AccountRepository(self._store), carol)
        loaded, load_ms = await _timed(
            SnapshottingAccountRepository(self._store, self._snapshots), carol
        )
        self._report.check(
            "snapshot and rest are the whole",
            f"{load_ms:.1f} ms instead of {replay_ms:.1f} ms, version {loaded[2]} both ways",
            ok=loaded == replayed,
        )

    async def _newest_snapshot(self, account_id: UUID, version: int) -> int:
        """Return the version of an account's newest snapshot, once it is `version` or time is up."""
        deadline = time.monotonic() + _WRITTEN_BOUND_S
        while True:
            found = (await self._snapshots.load([account_id])).get(account_id)
            newest = found.version if found else 0
            if newest >= version or time.monotonic() > deadline:
                return newest
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _old_event(self, dora: UUID) -> None:
        self._report.chapter(
            "An event from before",
            "The first deposits of the bank had no reference. They are stored as they were written, "
            "and read as today's.",
        )
        await self._client.execute(OpenAccount(dora, "Dora", Decimal("100.00")), actor=ACTOR)
        await self._append_old_deposit(dora)
        stored = (await self._store.history(dora))[-1]
        self._report.check(
            "what is stored",
            f"{stored.event_type} of schema version {stored.schema_version}: {stored.data}",
            ok=stored.schema_version == 1 and "reference" not in orjson.loads(stored.data),
        )
        data = stored.decode().data
        self._report.check(
            "what every reader gets",
            f"amount {data['amount']}, reference {data['reference']}",
            ok=data["reference"] == "legacy-deposit",
        )
        outcome = await self._client.execute(DepositMoney(dora, Decimal("5.00")), actor=ACTOR)
        account = await AccountRepository(self._store).get(dora)
        self._report.check(
            "the bank goes on from there",
            f"accepted, version {outcome.version}, balance {account.balance}",
            ok=(outcome.version, account.balance) == (3, Decimal("125.00")),
        )

    async def _append_old_deposit(self, account_id: UUID) -> None:
        """Append what code of schema version 1 would have written."""
        slot = slot_of(account_id)
        data = orjson.dumps({"account_id": str(account_id), "amount": "20.00"}).decode()
        event_id, _ = system_stamp()
        moment = datetime.now(UTC)
        event = NewEvent(slot, account_id, 2, event_id, "MoneyDeposited", 1, data, "{}", moment)
        for attempt in range(_ATTEMPTS):
            head = (await self._store.heads())[slot]
            try:
                await self._store.append_batch({slot: head}, [event], ())
            except SlotMoved:  # somebody else of this bank was quicker
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return


async def _timed(
    repository: AccountRepository | SnapshottingAccountRepository, account_id: UUID
) -> tuple[tuple[str, Decimal, int], float]:
    """Return owner, balance and version, and how many milliseconds it took to load them."""
    began = time.perf_counter()
    account = await repository.get(account_id)
    took_ms = (time.perf_counter() - began) * 1000
    return (account.owner_name, account.balance, account.version), took_ms
