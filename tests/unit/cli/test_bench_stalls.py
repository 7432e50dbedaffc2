"""What `bench scaling` calls the longest time without progress."""

import asyncio
from collections import Counter

from passbook.cli.bench.stalls import Stalls
from passbook.service import alongside


async def test_the_longest_stop_is_that_of_the_one_that_stood_still_though_others_moved() -> None:
    """Also of one that had stood still before one began to look."""
    counts, still = Counter({0: 1, 1: 1}), asyncio.Event()

    async def look() -> Counter[int]:
        counts[0] += 1
        if not still.is_set():
            counts[1] += 1
        return Counter(counts)

    stalls = Stalls(look)
    async with alongside(stalls.run()):
        still.set()
        asyncio.get_running_loop().call_later(1.5, still.clear)
        stalls.begin()
        assert await stalls.longest() >= 1.4
