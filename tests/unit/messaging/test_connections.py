"""Hanging up on a broker that does not: over TLS it does so when it is done with a request."""

import asyncio
from types import SimpleNamespace

from passbook.messaging.connections import hang_up


class _Transport:
    def __init__(self) -> None:
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


class _Connection:
    """One that is closed when the other side says so, which it never does."""

    def __init__(self) -> None:
        self.transport = _Transport()
        self._writer: SimpleNamespace | None = SimpleNamespace(transport=self.transport)

    def close(self) -> asyncio.Future[None]:
        self._writer = None
        return asyncio.get_running_loop().create_future()


async def test_a_connection_that_is_not_hung_up_by_the_broker_is_cut_off() -> None:
    """Seen to take half a minute under uvloop with aiokafka's own `close`: longer than a service has
    for its end.
    """
    connection = _Connection()
    renewing = asyncio.ensure_future(asyncio.Event().wait())
    client = SimpleNamespace(_sync_task=renewing, _conns={1: connection})
    async with asyncio.timeout(2):
        await hang_up(client)
    assert connection.transport.aborted
    assert renewing.cancelled()
