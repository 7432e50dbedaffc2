"""The first signal stops in order, and the next ones do not disturb that."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from passbook.embedded.signals import run_until_signalled


@pytest.fixture
def ignored_hangup() -> Iterator[None]:
    """Ignore SIGHUP, as `nohup` has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


def send(*numbers: signal.Signals) -> None:
    """Signal this process."""
    for number in numbers:
        os.kill(os.getpid(), number)


async def test_result_is_that_of_the_work_when_no_signal_came() -> None:
    async def main() -> int:
        return 7

    assert await run_until_signalled(main()) == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_signal_cancels_and_the_stop_is_not_interrupted(number: signal.Signals) -> None:
    stopped = asyncio.Event()

    async def main() -> bool:
        try:
            send(number)
            return await asyncio.Event().wait()
        finally:
            send(number, number)
            for _ in range(10):
                await asyncio.sleep(0)
            stopped.set()

    assert await run_until_signalled(main()) is None
    assert stopped.is_set()


async def test_further_ctrl_c_is_told() -> None:
    impatient = asyncio.Event()

    async def main() -> None:
        try:
            send(signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            send(signal.SIGINT)
            await impatient.wait()

    await run_until_signalled(main(), again=impatient.set)


@pytest.mark.usefixtures("ignored_hangup")
async def test_ignored_hangup_stays_ignored() -> None:
    async def main() -> str:
        send(signal.SIGHUP)
        await asyncio.sleep(0)
        return "still here"

    assert await run_until_signalled(main()) == "still here"
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


async def test_cancellation_from_outside_is_passed_on() -> None:
    begun = asyncio.Event()

    async def main() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(run_until_signalled(main()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
