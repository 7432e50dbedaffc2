"""A real Prometheus asks services that work, and every panel has something to show."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx

from passbook.embedded.ports import LOOPBACK
from tests.support.observability import panel_expressions
from tests.support.prometheus import Prometheus, asking
from tests.support.until import until
from tests.support.world import BALANCES, SERVICES, World

_QUERY_API: Final = "query-api"
_DEADLINE_S: Final = 30.0
_NOT_WHILE_ALL_IS_WELL: Final = ("ALERTS{", "passbook_trace_spans_dropped_total")
"""Appear with the first thing that goes wrong; spans only where traces are sent."""
_MOVE: Final = {
    "commands-and-outbox.json": {
        "Decided, by type",
        "Decided, by outcome",
        "Decided, by instance",
        "Wait for a decision",
        "Decide one poll",
        "Append one batch",
        "Published",
    },
    "projections.json": {"Applied, by instance", "Published and applied"},
    "servers-and-processes.json": {"Processor", "Memory", "Requests, by status"},
}
"""Panels whose lines move while the bank works."""


async def test_every_panel_shows_something_and_lines_move_while_the_bank_works(
    world: World, prometheus_programs: Path, tmp_path: Path
) -> None:
    """Shown sharp: a panel that asks for `passbook_command_waits_seconds`, or for a job `relay`."""
    services = await world.run(*SERVICES, _QUERY_API, BALANCES)
    targets = [(service.name, service.port) for service in services]
    port = services[len(SERVICES)].logged("http.listening")[0]["port"]
    async with asking(prometheus_programs, targets, tmp_path) as prometheus:
        async with world.load(per_second=200), _reading(port):
            began = time.time()
            await _everything_is_shown(prometheus)
            await _lines_have_moved(prometheus, began)
        assert len((await prometheus.well())[BALANCES]) == 2
        assert await prometheus.ask('ALERTS{alertstate="firing"}') == []


async def _everything_is_shown(prometheus: Prometheus) -> None:
    """Return when each panel has had something to show."""
    for each in panel_expressions():
        if any(name in each.text for name in _NOT_WHILE_ALL_IS_WELL):
            continue

        async def shows(text: str = each.text) -> bool:
            return bool(await prometheus.ask(_now(text)))

        await _until(shows, f"{each.place} shows nothing: {each.text}")


async def _lines_have_moved(prometheus: Prometheus, began: float) -> None:
    """Return when the lines that should move have moved."""
    for each in panel_expressions():
        file, _, panel = each.place.partition(": ")
        if panel[:-2] not in _MOVE[file]:
            continue

        async def moves(text: str = each.text) -> bool:
            lines = await prometheus.lines(_now(text), began, time.time())
            return any(len(set(line) - {math.nan}) > 1 for line in lines)

        await _until(moves, f"{each.place} does not move: {each.text}")


async def _until(condition: Callable[[], Awaitable[bool]], otherwise: str) -> None:
    try:
        await until(condition, _DEADLINE_S)
    except AssertionError as error:
        raise AssertionError(otherwise) from error


def _now(text: str) -> str:
    """Look at a short while only: the test has no more."""
    return text.replace("$__rate_interval", "5s")


@asynccontextmanager
async def _reading(port: int) -> AsyncIterator[None]:
    """Read over HTTP for as long as the block."""

    async def read() -> None:
        async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}") as client:
            while True:
                await client.get("/v1/overview")
                await asyncio.sleep(0.1)

    reader = asyncio.create_task(read())
    try:
        yield
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
