"""What every service says about itself, and how it ends, also when a server is away."""

import asyncio
from collections.abc import Iterator
from typing import Final

from passbook.embedded.ports import free_port
from tests.support.processes import ServiceProcess
from tests.support.world import SERVICES as WORKERS
from tests.support.world import World

SERVICES: Final = (*WORKERS, "query-api")
_SIGN_OF_WORK: Final = {
    "command-service": "passbook_append_seconds_count",
    "outbox-relay": "passbook_relay_leading",
    "balance-projector": "passbook_projection_lag_events",
    "audit-projector": "passbook_projection_lag_events",
    "query-api": "passbook_http_in_progress",
}


async def test_every_service_answers_its_probes_and_stops_in_order(world: World) -> None:
    for process in await world.run(*SERVICES):
        assert await process.get("/livez") == (200, "ok\n")
        assert await process.get("/readyz") == (200, "ok\n")
        assert (await process.get("/nothing")).status == 404
        metrics = await process.get("/metrics")
        assert metrics.status == 200
        assert f"\n{_SIGN_OF_WORK[process.name]}" in metrics.body
        code, seconds = await process.terminate()
        assert (process.name, code) == (process.name, 0)
        assert seconds < 10


async def test_while_a_server_is_away_services_live_are_not_ready_and_stop_when_told(
    world: World,
) -> None:
    waiting = list(_without_a_server(world))
    for process, server in waiting:
        while not process.logged("service.unavailable"):
            assert process.exit_code is None, process.last_words()
            await asyncio.sleep(0.01)
        assert await process.get("/livez") == (200, "ok\n")
        answer = await process.get("/readyz")
        assert (answer.status, answer.body.startswith(server)) == (503, True), answer.body
    for code, seconds in await asyncio.gather(*(process.terminate() for process, _ in waiting)):
        assert code == 0
        assert seconds < 10


def _without_a_server(world: World) -> Iterator[tuple[ServiceProcess, str]]:
    """Start every service twice: where no PostgreSQL listens, and where no Kafka does."""
    for name in SERVICES:
        nowhere = f"postgresql://somebody@127.0.0.1:{free_port()}/nothing"
        yield world.start(name, dsn=nowhere), "PostgreSQL"
        yield world.start(name, PASSBOOK_KAFKA_BOOTSTRAP=f"127.0.0.1:{free_port()}"), "Kafka"


async def test_what_does_not_fit_is_refused_with_what_to_do(
    world: World, unmigrated_dsn: str
) -> None:
    for name in SERVICES:
        for process, remedy in (
            (world.start(name, PASSBOOK_TOPIC_PREFIX="nobodys."), "passbook topics apply"),
            (world.start(name, PASSBOOK_TOPIC_PARTITIONS="2"), "partitions"),
            (world.start(name, dsn=unmigrated_dsn), "migrate"),
        ):
            assert await process.ended(20) == 78, process.last_words()
            (refusal,) = process.logged("service.refused")
            assert remedy in refusal["error"]
