"""PostgreSQL and Kafka in containers, for test runs on a machine that has a docker engine.

The images are those of docker-compose.yml.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import yaml
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from passbook.embedded.ports import LOOPBACK, free_port
from tests.support.compose import ROOT

_KAFKA_PORT: Final = 9092
_START_S: Final = 120
_ANSWER_S: Final = 20


def engine_answers() -> bool:
    """Tell whether there is a docker engine."""
    program = shutil.which("docker")
    if program is None:
        return False
    try:
        asked = subprocess.run(
            [program, "version"], check=False, capture_output=True, timeout=_ANSWER_S
        )
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


@contextmanager
def containers() -> Iterator[tuple[str, str]]:
    """Have both servers for the length of the block: the owner's DSN, and Kafka's address."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    with _postgres(services["postgres"]) as dsn, _kafka(services["kafka"]) as bootstrap:
        yield dsn, bootstrap


@contextmanager
def _postgres(service: dict[str, Any]) -> Iterator[str]:
    container = PostgresContainer(service["image"], username="passbook", dbname="passbook")
    # Tests open many pools at once, and every one of them is committed for real.
    with container.with_command("postgres -c max_connections=300") as running:
        yield running.get_connection_url(driver=None)


@contextmanager
def _kafka(service: dict[str, Any]) -> Iterator[str]:
    port = (
        free_port()
    )  # a client is sent to the address that the broker names, so it is chosen here
    environment = {key: str(value) for key, value in service["environment"].items()} | {
        "KAFKA_ADVERTISED_LISTENERS": f"INTERNAL://localhost:19092,HOST://{LOOPBACK}:{port}",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "1",
        "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "1",
    }
    container = (
        DockerContainer(service["image"])
        .with_envs(**environment)
        .with_bind_ports(f"{_KAFKA_PORT}/tcp", port)
        .waiting_for(LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(_START_S))
    )
    with container:
        yield f"{LOOPBACK}:{port}"
