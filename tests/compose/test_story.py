"""The whole story, with its output in the report: up, publish, scale, kill, read, verify."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from passbook.cli.bench.environment import Environment
from passbook.cli.bench.invariants import broken_invariants
from passbook.cli.bench.workload import Expectation, publish_backlog
from passbook.config import Settings
from passbook.domain.account import BankAccount
from passbook.messaging.producer import Producer
from passbook.messaging.topics import Topics
from tests.support.compose import Compose, docker
from tests.support.until import until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]

_COMMANDS: Final = 10_000
_ROUNDS: Final = 10
_ACCOUNTS: Final = 50
_SCALE: Final = {"balance-projector": 3, "command-service": 2}
_WORK: Final = {
    "balance-projector": "passbook_projection_applied_total",
    "command-service": "passbook_commands_decided_total",
}
# The program, not the small init that is process 1 and would end the container in order.
_CRASH: Final = (
    "for p in /proc/[0-9]*; do "
    '[ "$(cut -d" " -f4 "$p/stat")" = 1 ] && kill -9 "${p#/proc/}"; done; true'
)
_METRICS: Final = (
    "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9464/metrics').read().decode())"
)
_LEFT: Final = """
SELECT (SELECT count(*) FROM eventstore.commands) AS decided,
       (SELECT count(*) FROM eventstore.slots s JOIN projections.positions p USING (slot)
         WHERE p.slot_seq < s.head) AS behind
"""


async def test_ten_thousand_commands_outlive_scaling_and_crashes(
    own_stack: Compose, tmp_path: Path
) -> None:
    """Published from this machine, outside of the containers' network, while projectors and command
    services are added, a projector is killed, and the relay crashes and is started again.
    """
    stack = own_stack
    async with _owner(stack) as (settings, admin):
        expected = Expectation()
        async with Producer(stack.kafka, client_id="outside") as producer:

            async def publish(rounds: range) -> None:
                for seed in rounds:
                    await publish_backlog(
                        producer,
                        Topics(),
                        _COMMANDS // _ROUNDS,
                        _ACCOUNTS,
                        seed=seed,
                        before=expected,
                    )

            await publish(range(3))
            scale = [part for name, n in _SCALE.items() for part in ("--scale", f"{name}={n}")]
            await stack("up", "--detach", "--wait", "--no-build", "--no-recreate", *scale)
            await publish(range(3, 8))
            await _everybody_works(stack)
            (relay,) = await stack.ids("outbox-relay")
            await docker("kill", (await stack.ids("balance-projector"))[0])
            await docker("exec", relay, "bash", "-c", _CRASH)
            await publish(range(8, _ROUNDS))
        assert expected.outcomes.total() == _COMMANDS

        async def done() -> bool:
            decided, behind = await admin.fetchrow(_LEFT)
            return bool(decided >= _COMMANDS and not behind)

        await until(done, 120)
        environment = Environment(settings, admin, tmp_path)
        assert not await broken_invariants(environment, _COMMANDS, expected)
    assert (await stack.inspect(relay))["RestartCount"] == 1
    for verb in (("audit", "verify"), ("projection", "verify", "balance")):
        found = await stack.passbook(*verb)
        assert found["ok"], found
    await _balances_by_http(stack, expected.accounts)
    await stack("ps", "--all")
    await stack("logs", "--no-log-prefix", "outbox-relay")


@asynccontextmanager
async def _owner(stack: Compose) -> AsyncIterator[tuple[Settings, asyncpg.Connection]]:
    owner = await stack.owner_dsn()
    settings = Settings().model_copy(
        update={
            "event_store_dsn": SecretStr(owner),
            "read_model_dsn": SecretStr(owner),
            "kafka_bootstrap": stack.kafka,
        }
    )
    admin = await asyncpg.connect(owner)
    try:
        yield settings, admin
    finally:
        await admin.close(timeout=5)


async def _everybody_works(stack: Compose) -> None:
    """Return when every instance has done something."""
    for service, count in _SCALE.items():
        containers = await stack.ids(service)
        assert len(containers) == count
        for container in containers:

            async def works(container: str = container, metric: str = _WORK[service]) -> bool:
                page = await docker("exec", container, "python", "-c", _METRICS, quiet=True)
                lines = [line for line in page.splitlines() if line.startswith(metric)]
                return sum(float(line.split()[-1]) for line in lines) > 0

            await until(works, 60)


async def _balances_by_http(stack: Compose, accounts: dict[UUID, BankAccount]) -> None:
    """Page through all accounts as a web client does."""
    found: dict[str, str] = {}
    cursor: str | None = ""
    async with httpx.AsyncClient(base_url=stack.http) as client:
        while cursor is not None:
            parameters = {"limit": "100"} | ({"cursor": cursor} if cursor else {})
            page = (await client.get("/v1/accounts", params=parameters)).json()
            found |= {one["account_id"]: one["balance"] for one in page["accounts"]}
            cursor = page["next_cursor"]
    assert found == {str(key): f"{account.balance:.2f}" for key, account in accounts.items()}
