"""A real Prometheus: from the PATH, from the cache, or from Debian's package, which is not installed but
only unpacked.
"""

import asyncio
import json
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from passbook.embedded.cache import cache_dir
from passbook.embedded.ports import LOOPBACK, free_port
from passbook.embedded.process import spawn
from tests.support.observability import ALERTS
from tests.support.until import until

_PROGRAMS: Final = ("prometheus", "promtool")
_DOWNLOAD_S: Final = 120
_ASKED_EVERY: Final = "500ms"


@cache
def programs() -> Path | None:
    """Return the directory of `prometheus` and `promtool`, None where they cannot be had."""
    if all(map(shutil.which, _PROGRAMS)):
        return Path(shutil.which(_PROGRAMS[0]) or "").parent
    kept = cache_dir() / "prometheus"
    if not (kept / "usr/bin/promtool").exists() and not _unpacked(kept):
        return None
    return kept / "usr/bin"


def _unpacked(into: Path) -> bool:
    """Unpack Debian's package; return False where there is no such thing, or it cannot be had."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    fresh = into.with_name("prometheus.fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        _run(["apt-get", "download", "-qq", "prometheus"], fresh)
        (package,) = fresh.glob("prometheus_*.deb")
        _run(["dpkg-deb", "-x", str(package), "."], fresh)
    except (subprocess.SubprocessError, ValueError):
        return False
    package.unlink()
    shutil.rmtree(into, ignore_errors=True)
    fresh.rename(into)
    return True


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=_DOWNLOAD_S)


@pytest.fixture(scope="session")
def prometheus_programs() -> Path:
    """The directory of `prometheus` and `promtool`."""
    found = programs()
    if found is None:
        pytest.skip(
            "NOT CHECKED: there is no Prometheus; install the package `prometheus`, or run "
            "`apt-get update` so that it can be downloaded"
        )
    return found


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A server that runs."""

    client: httpx.AsyncClient

    async def ask(self, query: str) -> list[dict[str, Any]]:
        """Return what an expression is now: labels under `metric`, the figure under `value`."""
        return await self._asked("query", query=query)

    async def lines(self, query: str, start: float, end: float) -> list[list[float]]:
        """Return the lines of an expression over a time, a figure a second."""
        found = await self._asked(
            "query_range", query=query, start=str(start), end=str(end), step="1"
        )
        return [[float(value) for _, value in line["values"]] for line in found]

    async def well(self) -> dict[str, set[str]]:
        """Return job → instances that answer."""
        found: dict[str, set[str]] = {}
        for one in await self.ask("up == 1"):
            found.setdefault(one["metric"]["job"], set()).add(one["metric"]["instance"])
        return found

    async def _asked(self, route: str, **form: str) -> list[dict[str, Any]]:
        answer = (await self.client.post(f"/api/v1/{route}", data=form)).json()
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result


@asynccontextmanager
async def asking(
    programs: Path, targets: Iterable[tuple[str, int]], folder: Path
) -> AsyncIterator[Prometheus]:
    """Run a Prometheus with our alert rules that asks (job, port) twice a second."""
    jobs: dict[str, list[str]] = {}
    for job, port in targets:
        jobs.setdefault(job, []).append(f"{LOOPBACK}:{port}")
    configuration = {
        "global": {"scrape_interval": _ASKED_EVERY, "evaluation_interval": _ASKED_EVERY},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [
            {"job_name": job, "scrape_timeout": _ASKED_EVERY, "static_configs": [{"targets": own}]}
            for job, own in jobs.items()
        ],
    }
    (folder / "prometheus.json").write_text(json.dumps(configuration), "utf-8")
    port = free_port()
    with (folder / "prometheus.log").open("wb") as output:
        child = spawn(
            (
                str(programs / "prometheus"),
                f"--config.file={folder / 'prometheus.json'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={LOOPBACK}:{port}",
            ),
            output=output,
            death_signal=signal.SIGKILL,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}") as client:
            await until(lambda: _is_ready(client), 15)
            yield Prometheus(client)
    finally:
        await asyncio.shield(child.stop(signal.SIGTERM, 5))


async def _is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/-/ready")).is_success
    except httpx.TransportError:
        return False
