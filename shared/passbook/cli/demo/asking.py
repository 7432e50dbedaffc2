"""The first half of the story: commands go in, outcomes come back, all of it over Kafka."""

import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID, uuid4

from passbook.cli.demo.report import Report
from passbook.client import Outcome, PassbookClient
from passbook.domain.commands import (
    CloseAccount,
    Command,
    DepositMoney,
    FreezeAccount,
    OpenAccount,
    WithdrawMoney,
)

ACTOR: Final = "passbook demo"


@dataclass(frozen=True, slots=True)
class Cast:
    """The two accounts of the story, new ones at every performance."""

    alice: UUID
    bob: UUID


class Asking:
    """Sends commands, one after the other, and checks each outcome."""

    def __init__(self, client: PassbookClient, report: Report, cast: Cast) -> None:
        """Ask through `client`."""
        self._client = client
        self._report = report
        self._cast = cast

    async def play(self) -> None:
        """Play the story: at its end Alice has 650.00, and Bob's account is closed on 174.50."""
        await self._money_moves()
        await self._rules_refuse()
        await self._sent_twice()
        await self._freeze_and_close()

    async def _money_moves(self) -> None:
        alice, bob = self._cast.alice, self._cast.bob
        self._report.chapter(
            "Two accounts, and money moves",
            "Each command goes through Kafka to the command service, becomes events in PostgreSQL, "
            "and its outcome comes back through Kafka.",
        )
        await self._ask("Alice opens with 500.00", OpenAccount(alice, "Alice", Decimal("500.00")))
        await self._ask("Bob opens with 250.00", OpenAccount(bob, "Bob", Decimal("250.00")))
        await self._ask("Alice gets 200.00", DepositMoney(alice, Decimal("200.00"), "salary"))
        await self._ask("Alice takes 50.00", WithdrawMoney(alice, Decimal("50.00"), "coffee"))
        await self._ask("Bob takes 75.50", WithdrawMoney(bob, Decimal("75.50"), "rent"))

    async def _rules_refuse(self) -> None:
        self._report.chapter(
            "The rules of the bank say no",
            "A refusal is an outcome too: stored, published, and the same for ever.",
        )
        alice, bob = self._cast.alice, self._cast.bob
        too_much = WithdrawMoney(bob, Decimal("10000.00"))
        await self._ask("Bob asks for 10000.00", too_much, refused="insufficient_funds")
        again = OpenAccount(alice, "Alice", Decimal("500.00"))
        await self._ask("Alice opens once more", again, refused="account_already_exists")

    async def _sent_twice(self) -> None:
        self._report.chapter(
            "Sent twice, done once",
            "The command id, which the sender chooses, is the key of idempotency.",
        )
        alice, command_id = self._cast.alice, uuid4()
        order = WithdrawMoney(alice, Decimal("20.00"), "standing order")
        first = await self._ask("Alice takes 20.00", order, command_id=command_id)
        second = await self._client.execute(order, command_id=command_id, actor=ACTOR)
        self._report.check(
            "the same command once more",
            "the same outcome; nothing happened twice" if first == second else f"{second}",
            ok=first == second,
        )
        other = WithdrawMoney(alice, Decimal("30.00"), "standing order")
        refused = "idempotency_conflict"
        await self._ask("its id, with 30.00", other, refused=refused, command_id=command_id)
        await self._ask("Alice puts it back", DepositMoney(alice, Decimal("20.00"), "put back"))

    async def _freeze_and_close(self) -> None:
        self._report.chapter(
            "Frozen, and closed", "A frozen account takes no money; it can still be closed."
        )
        bob = self._cast.bob
        await self._ask("Bob's account is frozen", FreezeAccount(bob, "court order"))
        deposit = DepositMoney(bob, Decimal("1.00"))
        await self._ask("a deposit for Bob", deposit, refused="account_not_active")
        await self._ask("Bob's account is closed", CloseAccount(bob))

    async def _ask(
        self,
        name: str,
        command: Command,
        *,
        refused: str | None = None,
        command_id: UUID | None = None,
    ) -> Outcome:
        """Send a command; check that it is accepted, or refused with this code."""
        began = time.perf_counter()
        outcome = await self._client.execute(command, command_id=command_id, actor=ACTOR)
        took_ms = (time.perf_counter() - began) * 1000
        if outcome.error is None:
            answer = f"accepted, version {outcome.version}"
            ok = refused is None
        else:
            answer = f"{outcome.error.code}: {outcome.error.message}"
            ok = refused == outcome.error.code
        self._report.check(name, f"{took_ms:.0f} ms  {answer}", ok=ok)
        return outcome
