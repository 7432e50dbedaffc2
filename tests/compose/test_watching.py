"""Prometheus beside the services, by its overlay: it finds every container, and tells when one is gone.

What runs is the Prometheus of this machine under the image's name of this run, where it is asked for the
files of the overlay and by its settings. Grafana's dashboards are tested in tests/deploy.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from passbook.client import PassbookClient
from passbook.embedded.ports import LOOPBACK, free_port
from tests.support.compose import Compose, docker
from tests.support.until import until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]

_OVERLAY: Final = "deploy/compose/observability.yml"
_IMAGE: Final = """
FROM debian:bookworm-slim
COPY --chmod=755 prometheus promtool /usr/bin/
RUN install -d -o 65534 -g 65534 /prometheus
ENTRYPOINT ["/usr/bin/prometheus"]
"""
_ALL: Final = {
    "command-service": 1,
    "outbox-relay": 1,
    "balance-projector": 2,
    "audit-projector": 1,
    "query-api": 1,
    "prometheus": 1,
}


@pytest.fixture
async def watched(
    stack: Compose, prometheus_programs: Path, tmp_path: Path
) -> AsyncIterator[Compose]:
    """Give the project with the overlay, Prometheus running, and two balance projectors."""
    image = f"{stack.project}-prometheus"
    for program in ("prometheus", "promtool"):
        await asyncio.to_thread(shutil.copy, prometheus_programs / program, tmp_path)
    (tmp_path / "Dockerfile").write_text(_IMAGE)
    await docker("build", "--quiet", "-t", image, str(tmp_path))
    (tmp_path / "image.yml").write_text(
        yaml.safe_dump({"services": {"prometheus": {"image": image}}})
    )
    watched = Compose(
        stack.project,
        (*stack.files, _OVERLAY, str(tmp_path / "image.yml")),
        stack.environment | {"PASSBOOK_PROMETHEUS_PORT": str(free_port())},
    )
    try:
        up = ("up", "--detach", "--wait", "--no-build", "--no-recreate")
        await watched(*up, "--scale", "balance-projector=2", "prometheus", "balance-projector")
        yield watched
    finally:
        await watched("rm", "--stop", "--force", "--volumes", "prometheus", quiet=True)
        await docker("volume", "rm", "--force", f"{stack.project}_prometheus", quiet=True)
        await docker("image", "rm", "--force", image, quiet=True)
        await stack("up", "--detach", "--wait", "--no-build", quiet=True)


async def test_every_container_is_asked_and_one_that_is_gone_is_told(watched: Compose) -> None:
    """Seen to fail with another port in prometheus.yml."""
    where = f"http://{LOOPBACK}:{watched.port('PASSBOOK_PROMETHEUS_PORT')}/api/v1/"
    async with httpx.AsyncClient(base_url=where) as client:

        async def asked(path: str, **query: str) -> Any:
            return (await client.get(path, params=query)).raise_for_status().json()["data"]

        async def everybody_answers() -> bool:
            targets = (await asked("targets"))["activeTargets"]
            return Counter(t["labels"]["job"] for t in targets if t["health"] == "up") == _ALL

        async def raised() -> set[str]:
            """Those that fire, or will: how long each waits is in tests/deploy/test_alert_rules.py."""
            return {one["labels"]["alertname"] for one in (await asked("alerts"))["alerts"]}

        async def quiet() -> bool:
            return not await raised()

        await until(everybody_answers, 60)
        rules = [rule for group in (await asked("rules"))["groups"] for rule in group["rules"]]
        assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
        before = await _decided(asked)
        async with PassbookClient(watched.kafka) as bank:
            account = (await bank.open_account("Alice", "100.00")).account_id
            await asyncio.gather(*(bank.deposit(account, "1.00") for _ in range(99)))

        async def counted() -> bool:
            return await _decided(asked) >= before + 100

        await until(counted, 60)
        await until(quiet, 60)  # whom it has not found yet, Prometheus takes for gone
        await watched("stop", "outbox-relay")

        async def told() -> bool:
            return {"PassbookServiceDown", "PassbookNoRelayLeading"} <= await raised()

        await until(told, 60)
        await watched("up", "--detach", "--wait", "--no-build", "--no-deps", "outbox-relay")
        assert len(await watched.ids("balance-projector")) == 2
        await until(quiet, 60)


async def _decided(asked: Any) -> float:
    found = await asked("query", query="sum(passbook_commands_decided_total)")
    return sum(float(one["value"][1]) for one in found["result"])
