"""A service with tokens, several people, and accounts that are some of theirs."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

import asyncpg
import httpx
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from passbook.config import Settings
from passbook.domain.commands import OpenAccount
from passbook.eventstore.postgres import PostgresEventStore
from services.audit_projector.projection import AuditProjection
from services.balance_projector.projection import BalanceProjection
from services.query_api.identity.callers import ADMIN, COMMAND, READ
from tests.support.http import Served, serving
from tests.support.issuer import AUDIENCE, ISSUER, Issuer, private_key
from tests.support.ledger import Ledger, running
from tests.support.projected import project


class Person(NamedTuple):
    """Who it is, and what the token says that one may; None: who is not believed to be anybody."""

    subject: str | None
    scopes: tuple[str, ...]


CALLERS: Final = {
    "ada": Person("ada", (READ, COMMAND)),
    "bob": Person("bob", (READ, COMMAND)),
    "admin": Person("root", (ADMIN,)),
    "ada, reading": Person("ada", (READ,)),
    "ada, commanding": Person("ada", (COMMAND,)),
    "ada, otherwise": Person("ada", ("openid", "bank:reader")),
    "nobody": Person(None, ()),
    "forged admin": Person(None, (ADMIN,)),
}

OWNERS: Final = {
    "ada's": "ada",
    "ada's second": "ada",
    "ada's of before": "ada",
    "bob's": "bob",
    "nobody's": None,
}
"""Accounts. That of before is in the view without its owner, as before there was the column."""
MISSING: Final = "missing"

_OF_BEFORE: Final = "UPDATE balances.accounts SET owner = NULL WHERE account_id = $1"


@dataclass(frozen=True, slots=True)
class Guarded:
    """`accounts` and `commands`, those that opened them, are by the names in `OWNERS`; those of
    `MISSING` were never used. `moment` is later than all that.
    """

    served: Served
    ledger: Ledger
    consumer: AIOKafkaConsumer
    store: PostgresEventStore
    issuer: Issuer
    accounts: Mapping[str, UUID]
    commands: Mapping[str, UUID]
    moment: datetime

    def headers(self, caller: str) -> dict[str, str]:
        """Return what a caller sends along."""
        subject, scopes = CALLERS[caller]
        if not scopes:
            return {}
        key = None if subject is not None else private_key("ES256")
        token = self.issuer.token(subject or "root", *scopes, key=key)
        return {"Authorization": f"Bearer {token}"}

    def account(self, name: str) -> str:
        """Return the path of an account."""
        return f"/v1/accounts/{self.accounts[name]}"

    async def ask(
        self, caller: str, method: str, path: str, body: object = None, **headers: str
    ) -> httpx.Response:
        """Return what a caller is answered."""
        return await self.served.client.request(
            method, path, json=body, headers=self.headers(caller) | headers
        )

    async def published(self) -> int:
        """Return how many commands there are in Kafka."""
        prefix, count = self.ledger.topics.prefix, self.ledger.topics.partitions
        parts = [TopicPartition(f"{prefix}commands", part) for part in range(count)]
        return sum((await self.consumer.end_offsets(parts)).values())

    async def deposit(self, account: str) -> int:
        """Let an administrator put money into an account; return its version then."""
        path = self.account(account) + "/deposits"
        answer = await self.ask("admin", "POST", path, {"amount": "1.00"})
        assert answer.status_code == 200, answer.text
        version: int = answer.json()["version"]
        return version

    async def followed(self, caller: str, *accounts: str) -> set[UUID]:
        """Return whose events a caller is sent, of the past and until something has happened to each
        of these accounts, the last of which the caller has to see.
        """
        seen = set()
        async with self.served.client.stream(
            "GET", "/v1/events?from=beginning", headers=self.headers(caller)
        ) as answer:
            assert answer.status_code == 200
            versions = [await self.deposit(account) for account in accounts]
            last = (str(self.accounts[accounts[-1]]), versions[-1])
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    event = orjson.loads(line.removeprefix("data: "))
                    seen.add(UUID(event["stream_id"]))
                    if (event["stream_id"], event["version"]) == last:
                        break
        return seen


def with_tokens(settings: Settings, jwks: Path) -> Settings:
    """Return settings by which callers have to say who they are."""
    tokens = {"jwt_jwks": str(jwks), "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
    return settings.model_copy(update=tokens)


@asynccontextmanager
async def guarded(ledger: Ledger, owner: asyncpg.Pool, folder: Path) -> AsyncIterator[Guarded]:
    """Serve, with commands decided and the views as of the beginning. `owner` owns the database."""
    issuer = Issuer()
    jwks = folder / "jwks.json"
    jwks.write_bytes(issuer.jwks())
    settings = with_tokens(ledger.settings("passbook_query_api"), jwks)
    consumer = AIOKafkaConsumer(bootstrap_servers=ledger.kafka)
    async with consumer, running(ledger.command_service()), serving(settings) as served:
        accounts = {name: uuid4() for name in (*OWNERS, MISSING)}
        commands = {name: uuid4() for name in accounts}
        for name, subject in OWNERS.items():
            context: dict[str, Any] = {} if subject is None else {"actor": subject}
            await served.app.state.backend.bank.execute(
                OpenAccount(accounts[name], "Zoë", Decimal(500)),
                command_id=commands[name],
                **context,
            )
        await project(owner, BalanceProjection(), AuditProjection())
        await owner.execute(_OF_BEFORE, accounts["ada's of before"])
        moment = await owner.fetchval("SELECT clock_timestamp()")
        store = PostgresEventStore(owner)
        yield Guarded(served, ledger, consumer, store, issuer, accounts, commands, moment)
