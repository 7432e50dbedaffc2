"""Background work that fails, and settings that are being renewed: what every service does then."""

import asyncio

import pytest

from passbook.eventstore.errors import StoreUnavailable
from passbook.messaging.security import SecurityRefused
from passbook.service import EXIT_CONFIGURATION, Health, _sessions, alongside


async def _fails() -> None:
    message = "no answer"
    raise StoreUnavailable(message)


async def test_background_work_that_fails_ends_the_block() -> None:
    """Seen to fail: a relay whose leadership was gone, or a measurement that had ended, told nobody."""
    async with asyncio.timeout(5):
        with pytest.raises(StoreUnavailable):
            async with alongside(asyncio.sleep(100), _fails()):
                await asyncio.Event().wait()


async def test_what_the_block_raises_is_raised_as_it_is() -> None:
    with pytest.raises(LookupError):
        async with alongside(asyncio.sleep(100)):
            raise LookupError


async def test_background_work_ends_with_the_block_and_with_who_is_cancelled() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with alongside(work()):
        await asyncio.sleep(0)
    assert ended.is_set()
    ended.clear()

    async def block() -> None:
        async with alongside(work()):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(block())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


@pytest.mark.parametrize(("worked", "code", "sessions"), [(True, 0, 2), (False, 78, 1)])
async def test_files_that_are_being_replaced_refuse_only_who_has_never_worked(
    *, worked: bool, code: int, sessions: int
) -> None:
    """A certificate is there before its key, and a broker hiccups. Seen to fail: the service ended
    with 78, and in Kubernetes all its instances with it.
    """
    stop, health = asyncio.Event(), Health()
    began = 0

    async def session(_stop: asyncio.Event, health: Health) -> None:
        nonlocal began
        began += 1
        if began == 1:
            if worked:
                health.ready()
            message = "the key does not fit"
            raise SecurityRefused(message)
        stop.set()

    assert code in {0, EXIT_CONFIGURATION}
    assert await _sessions(stop, health, session) == code
    assert began == sessions
