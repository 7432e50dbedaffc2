"""A port is kept from start to start, unless somebody else took it."""

import socket
import sys
from pathlib import Path

import pytest

from passbook.embedded.ports import PORTS, accepts, free_port, is_free, remembered_port


def test_port_stays_the_same(tmp_path: Path) -> None:
    memory = tmp_path / "port"
    assert remembered_port(memory) == remembered_port(memory)


def test_taken_port_leads_to_another_that_is_remembered(tmp_path: Path) -> None:
    memory = tmp_path / "port"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        memory.write_text(str(taken.getsockname()[1]))
        port = remembered_port(memory)
        assert port != taken.getsockname()[1]
    assert remembered_port(memory) == port


def test_port_is_free_while_connections_of_the_past_linger() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()  # the side that closes first keeps the port in TIME_WAIT
            assert client.recv(1) == b""
            assert not is_free(port)
    assert is_free(port)


@pytest.mark.parametrize("nonsense", ["", "x", "0", "-1", "99999"])
def test_nonsense_in_the_memory_is_replaced(tmp_path: Path, nonsense: str) -> None:
    memory = tmp_path / "port"
    memory.write_text(nonsense)
    assert 0 < remembered_port(memory) < 65536


async def test_listener_is_noticed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert await accepts(port)
    assert not await accepts(port)


@pytest.mark.skipif(sys.platform != "linux", reason="the range is read from /proc")
def test_ports_are_not_those_of_outgoing_connections() -> None:
    first, _ = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert free_port() in PORTS
    assert max(PORTS) < int(first)
