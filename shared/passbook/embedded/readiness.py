"""Asks a service whether it is ready, the way an orchestrator would."""

import asyncio
from typing import Final

from passbook.embedded.ports import LOOPBACK

ANSWER_BOUND_S: Final = 2.0
REQUEST: Final = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


async def is_ready(port: int) -> bool:
    """Tell whether `/readyz` on the metrics port answers 200 within a bounded time."""
    try:
        async with asyncio.timeout(ANSWER_BOUND_S):
            status_line = await _status_line(port)
    except (OSError, TimeoutError, asyncio.LimitOverrunError, ValueError):
        return False
    return status_line.split(b" ")[1:2] == [b"200"]


async def _status_line(port: int) -> bytes:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(REQUEST)
        await writer.drain()
        return await reader.readline()
    finally:
        writer.close()
