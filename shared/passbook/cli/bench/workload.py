"""The commands of a measurement, and what has to come of them."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID, uuid4

from passbook.domain.account import BankAccount
from passbook.domain.commands import Command, DepositMoney, OpenAccount, WithdrawMoney, execute
from passbook.domain.errors import AccountError
from passbook.domain.slots import partition_of, slot_of
from passbook.messaging.cloudevents import format_time
from passbook.messaging.commands import encode
from passbook.messaging.producer import Producer, Record
from passbook.messaging.topics import Topics

SOURCE: Final = "/passbook/bench"
_CHUNK: Final = 10_000
_OPENING: Final = Decimal("500.00")
_STAMP: Final = (UUID(int=0), datetime(2026, 1, 1, tzinfo=UTC))


@dataclass(slots=True)
class Expectation:
    """What the rules make of the commands, worked out with the aggregate itself."""

    accounts: dict[UUID, BankAccount] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    moved: Decimal = Decimal("0.00")

    @property
    def events(self) -> int:
        """How many events there have to be: one an accepted command."""
        return self.outcomes["accepted"]

    def take(self, command: Command) -> None:
        """Carry out a command."""
        try:
            account = execute(self.accounts.get(command.account_id), command, lambda: _STAMP)
        except AccountError as refusal:
            self.outcomes[refusal.code] += 1
            return
        account.clear_pending()
        self.accounts[account.id] = account
        self.outcomes["accepted"] += 1
        match command:
            case OpenAccount():
                self.moved += command.initial_deposit
            case DepositMoney():
                self.moved += command.amount
            case WithdrawMoney():
                self.moved -= command.amount
            case _:
                pass


def commands(count: int, accounts: int, seed: int = 1) -> Iterator[Command]:
    """Yield `count` commands: every tenth opens one of `accounts` accounts, again when all are
    open; the others put money into or take it out of one that is open, now and then too much.
    """
    chance = random.Random(seed)
    opened: list[UUID] = []
    for number in range(count):
        if number % 10 == 0:
            if len(opened) < accounts:
                opened.append(UUID(int=chance.getrandbits(128), version=4))
                account_id = opened[-1]
            else:
                account_id = chance.choice(opened)
            yield OpenAccount(account_id, f"Owner {len(opened)}", _OPENING)
            continue
        account_id = chance.choice(opened)
        amount = Decimal(chance.randrange(1, 10_000)).scaleb(-2)
        if chance.random() < 0.55:  # noqa: PLR2004 - a little more comes in than goes out
            yield DepositMoney(account_id, amount, "salary")
        else:
            large = chance.random() < 0.03  # noqa: PLR2004 - some withdrawals are refused
            yield WithdrawMoney(account_id, amount * 10_000 if large else amount, "groceries")


async def publish_backlog(  # noqa: PLR0913 - where to, how many, and after what
    producer: Producer,
    topics: Topics,
    count: int,
    accounts: int,
    *,
    seed: int = 1,
    before: Expectation | None = None,
) -> Expectation:
    """Publish `count` commands and return what has to come of them, and of those `before`, to
    which they are added. Another seed makes other commands about other accounts.
    """
    expectation = before or Expectation()
    time = format_time(datetime.now(UTC))
    records: dict[int, list[Record]] = defaultdict(list)
    for number, command in enumerate(commands(count, accounts, seed), start=1):
        expectation.take(command)
        partition = partition_of(slot_of(command.account_id), topics.partitions)
        records[partition].append(encode(command, command_id=uuid4(), source=SOURCE, time=time))
        if number % _CHUNK == 0 or number == count:
            await producer.publish(topics.commands, records)
            records.clear()
    return expectation
