"""The embedded Kafka keeps what it acknowledged, and finds ports."""

import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from passbook.embedded.errors import DataDirectoryBusyError
from passbook.embedded.kafka import EmbeddedKafka
from tests.integration.embedded.contents import read_record, write_record
from tests.support.until import is_alive, until


@asynccontextmanager
async def running(data_dir: Path, *, quick_start: bool = True) -> AsyncIterator[EmbeddedKafka]:
    """Run a node for the length of the block."""
    kafka = EmbeddedKafka(data_dir, quick_start=quick_start)
    await kafka.start()
    try:
        yield kafka
    finally:
        await kafka.stop()


async def test_records_survive_the_death_of_the_node_and_a_taken_port(tmp_path: Path) -> None:
    """Also: paths beyond ASCII, records of nearly 8 MiB, both ports taken, a full-speed JVM."""
    data_dir = tmp_path / "bänk, zwei"
    value = os.urandom(8 * 1024 * 1024 - 1024)
    async with running(data_dir) as kafka:
        with pytest.raises(DataDirectoryBusyError):
            await EmbeddedKafka(data_dir).start()
        await write_record(kafka.bootstrap, value)
        pid, port = kafka.pid, kafka.port
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not is_alive(pid))
    controller = int((data_dir / "controller.port").read_text())
    with (
        socket.create_server(("127.0.0.1", port)),
        socket.create_server(("127.0.0.1", controller)),
    ):
        async with running(data_dir, quick_start=False) as kafka:
            assert kafka.port != port
            assert await read_record(kafka.bootstrap) == value


async def test_pid_file_that_names_a_stranger_is_no_obstacle_and_ports_stay(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as kafka:
        port = kafka.port
    (tmp_path / "kafka.pid").write_text(f"{os.getpid()}\n")
    async with running(tmp_path) as kafka:
        assert kafka.port == port
