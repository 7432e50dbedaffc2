"""Ctrl-C, `kill` and a closed terminal all mean the same: stop in order."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def run_until_signalled(
    main: Coroutine[Any, Any, Result], again: Callable[[], None] = lambda: None
) -> Result | None:
    """Run `main`; the first SIGINT, SIGTERM or SIGHUP cancels it, and then the result is None.

    Its `finally` and `async with` blocks are the ordered stop. More signals do not interrupt that:
    every step has a bound of its own, and interrupting it is how orphans are made. `again` is called
    for each more SIGINT: somebody sits there and would like it to be quicker. A SIGHUP that is
    ignored, as under `nohup`, stays ignored.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(main)
    signalled = False

    def stop(number: signal.Signals) -> None:
        nonlocal signalled
        if not signalled:
            signalled = True
            task.cancel()
        elif number == signal.SIGINT:
            again()

    nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    handled = (signal.SIGINT, signal.SIGTERM, *(() if nohup else (signal.SIGHUP,)))
    for number in handled:
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not signalled:
            raise
        return None
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
