"""The result of one check, and the running of one."""

import asyncio
from collections.abc import Awaitable
from enum import StrEnum
from typing import Final, NamedTuple

from aiokafka.errors import KafkaError

from passbook.config import MissingSetting
from passbook.eventstore.errors import EventStoreError
from passbook.eventstore.pool import FAILURES
from passbook.messaging.consumer import ConsumerLost
from passbook.messaging.security import SecurityRefused
from passbook.messaging.topics import TopicMismatch
from passbook.migrations import MigrationError

_EXPECTED: Final = (
    EventStoreError,
    ConsumerLost,
    TopicMismatch,
    MigrationError,
    KafkaError,
    MissingSetting,
    SecurityRefused,
    *FAILURES,
)
_LONGEST_S: Final = 15.0
_REMEDY: Final = (
    "see who holds a lock (pg_locks, VACUUM FULL), and whether the server is overloaded"
)


class State(StrEnum):
    """How a check ended. Only `FAILED` keeps services from working as they should."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


class Verdict(NamedTuple):
    """What a check found; `remedy` is empty when there is nothing to do."""

    state: State
    detail: str
    remedy: str = ""


class Finding(NamedTuple):
    """A verdict, and what it is about."""

    name: str
    verdict: Verdict

    @property
    def failed(self) -> bool:
        """Whether something has to be mended."""
        return self.verdict.state is State.FAILED

    def to_dict(self) -> dict[str, object]:
        """Return the finding as it is shown with `--json`."""
        return {"name": self.name, "ok": not self.failed} | self.verdict._asdict()


def fine(detail: str) -> Verdict:
    """Return the verdict on what is as it should be."""
    return Verdict(State.OK, detail)


def failed(detail: str, remedy: str) -> Verdict:
    """Return the verdict on what has to be mended."""
    return Verdict(State.FAILED, detail, remedy)


def warning(detail: str, remedy: str) -> Verdict:
    """Return the verdict on what should be mended."""
    return Verdict(State.WARNING, detail, remedy)


async def examine(name: str, check: Awaitable[Verdict], remedy: str = "") -> Finding:
    """Run a check for a bounded time; an exception is a failure, with `remedy`, and so is its end."""
    limit = asyncio.timeout(_LONGEST_S)
    try:
        async with limit:
            return Finding(name, await check)
    except _EXPECTED as error:
        if limit.expired():
            return Finding(name, failed(f"no answer within {_LONGEST_S:g} s", remedy or _REMEDY))
        return Finding(name, failed(str(error) or type(error).__name__, remedy))
