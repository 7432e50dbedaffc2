"""Loopback ports that stay the same from start to start for as long as nobody else takes them."""

import asyncio
import errno
import os
import random
import socket
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"

# Below the ports that kernels give to outgoing connections (from 32768 on Linux, 49152 on macOS).
# Among those, a port would be lost to somebody's connection between two starts, and a client that
# waits for the server could be connected to itself.
PORTS: Final = range(15_000, 32_000)
ATTEMPTS: Final = 100


def free_port() -> int:
    """Return a port that nobody listens on at this moment.

    Raises:
        OSError: none was found.
    """
    for _ in range(ATTEMPTS):
        if is_free(port := random.choice(PORTS)):
            return port
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port now.

    SO_REUSEADDR as the servers set it: connections of a predecessor in TIME_WAIT do not make a port
    taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


async def accepts(port: int) -> bool:
    """Tell whether somebody listens on the port."""
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


def remembered_port(memory: Path) -> int:
    """Return the port written in `memory` if it is free, else another, which is written there."""
    try:
        port = int(memory.read_text())
    except (FileNotFoundError, ValueError):
        port = 0
    if not 0 < port < 1 << 16 or not is_free(port):
        port = free_port()
        memory.write_text(f"{port}\n")
    return port
