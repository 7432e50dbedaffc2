"""A load generator for HTTP that costs little: run as a process of its own, told what to do on stdin
and answering on stdout, both JSON.

Every connection sends its next request as soon as the last one is answered (closed loop).
"""

import asyncio
import json
import random
import re
import sys
import time
from typing import Any, Final
from urllib.parse import urlsplit

import uvloop

_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_END_OF_HEAD: Final = b"\r\n\r\n"
_PATIENCE_S: Final = 10.0


class _Client(asyncio.Protocol):
    """One connection: sends what `load` gives it until the time is over."""

    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._buffer = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Send the first request."""
        self._transport = transport
        self._send()

    def _send(self) -> None:
        if time.perf_counter() >= self._load.until:
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(self._load.next_request())

    def data_received(self, data: bytes) -> None:
        """Take an answer, and send the next request when it is complete."""
        self._buffer += data
        head, found, body = self._buffer.partition(_END_OF_HEAD)
        length = _LENGTH.search(head) if found else None
        if length is None or len(body) < int(length[1]):
            return
        self._buffer = b""
        self._load.answered(int(head[9:12]), time.perf_counter() - self._sent_at)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so."""
        self._load.ended(exc)


class _Load:
    """What is sent, and what came of it."""

    def __init__(self, task: dict[str, Any]) -> None:
        place = urlsplit(task["url"])
        self.place = (place.hostname or "", place.port or 80)
        body = task.get("body", "")
        kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        self._requests = [
            f"{task['method']} {path} HTTP/1.1\r\nHost: {place.netloc}\r\n{kind}\r\n{body}".encode()
            for path in task["paths"]
        ]
        self._connections: int = task["connections"]
        self._open = self._connections
        self._over = asyncio.Event()
        self._seconds: float = task["seconds"]
        self.until = 0.0
        self.times: list[float] = []
        self.statuses: dict[int, int] = {}

    def next_request(self) -> bytes:
        """Return the bytes of a request, any of them."""
        return random.choice(self._requests)

    def answered(self, status: int, seconds: float) -> None:
        """Note an answer."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.times.append(seconds)

    def ended(self, error: Exception | None) -> None:
        """Note that a connection has ended."""
        if error is not None:
            self.statuses[0] = self.statuses.get(0, 0) + 1
        self._open -= 1
        if not self._open:
            self._over.set()

    async def run(self) -> dict[str, Any]:
        """Return what came of it; times in milliseconds, status 0: a connection was broken off."""
        started = time.perf_counter()
        self.until = started + self._seconds
        loop = asyncio.get_running_loop()
        for _ in range(self._connections):
            await loop.create_connection(lambda: _Client(self), *self.place)
        async with asyncio.timeout(self._seconds + _PATIENCE_S):
            await self._over.wait()
        took = time.perf_counter() - started
        ordered = sorted(self.times)
        return {
            "per_s": round(len(ordered) / took),
            **{
                name: round(ordered[int(len(ordered) * share)] * 1000, 2) if ordered else None
                for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99))
            },
            "statuses": {str(status): count for status, count in self.statuses.items()},
        }


async def generate(task: dict[str, Any]) -> dict[str, Any]:
    """Return what came of a task: `url`, `method`, `paths`, `connections`, `seconds`, and a `body`."""
    return await _Load(task).run()


def main() -> None:
    """Do what stdin says."""
    task = json.loads(sys.stdin.read())
    print(json.dumps(uvloop.run(generate(task))))  # noqa: T201 - the answer of this process


if __name__ == "__main__":
    main()
