"""Many single questions, few queries: those that come while a query is on its way are asked together
with the next one. A question is never answered by a query that began before it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

from passbook.eventstore.errors import StoreUnavailable

Key = TypeVar("Key")
Value = TypeVar("Value")

_MOST: Final = 500
"""Questions of one query."""


class Lookups(Generic[Key, Value]):
    """Answers `get` for as long as `run` runs."""

    def __init__(self, ask: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]]) -> None:
        """Ask with `ask`, which leaves out what there is not."""
        self._ask = ask
        self._asked: list[tuple[Key, asyncio.Future[Value | None]]] = []
        self._wake = asyncio.Event()

    async def get(self, key: Key) -> Value | None:
        """Return the value, None when there is none.

        Raises:
            StoreUnavailable, and what else `ask` raises.
        """
        answer: asyncio.Future[Value | None] = asyncio.get_running_loop().create_future()
        self._asked.append((key, answer))
        self._wake.set()
        return await answer

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self._wake.wait()
            asked, self._asked = self._asked[:_MOST], self._asked[_MOST:]
            if not self._asked:
                self._wake.clear()
            try:
                found = await self._ask(list({key for key, _ in asked}))
            except Exception as error:  # noqa: BLE001 - whoever asked is told
                _fail(asked, error)
            except asyncio.CancelledError:
                _fail(asked + self._asked, StoreUnavailable("closed"))
                raise
            else:
                for key, answer in asked:
                    if not answer.done():
                        answer.set_result(found.get(key))


def _fail(asked: Sequence[tuple[Key, asyncio.Future[Value | None]]], error: Exception) -> None:
    for _, answer in asked:
        if not answer.done():
            answer.set_exception(error)
