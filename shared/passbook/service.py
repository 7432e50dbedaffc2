"""What every service process does besides its work: start, say how it is, retry, stop in order.

    `/livez`    200 while the event loop turns
    `/readyz`   200 while the service works; 503 with the reason otherwise
    `/metrics`  Prometheus

Exit codes: 0 after SIGTERM or SIGINT, 78 when the configuration is refused (do not restart before
it is mended), 1 for a bug.
"""

import asyncio
import gc
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from importlib.metadata import version
from platform import python_version
from typing import Any, Final

import asyncpg
import structlog
import uvloop

from passbook.config import MissingSetting, Settings, load_settings
from passbook.eventstore.errors import LogIncomplete, StoreMismatch, StoreUnavailable
from passbook.eventstore.pool import FAILURES, OnConnect, lent, open_pool, said
from passbook.eventstore.preflight import check_event_store
from passbook.logs import configure_logging
from passbook.messaging.admin import kafka_admin
from passbook.messaging.consumer import ConsumerLost
from passbook.messaging.producer import PublishFailed
from passbook.messaging.security import SecurityRefused
from passbook.messaging.topics import TopicMismatch, check_topics
from passbook.probes import serve_probes
from passbook.telemetry import BUILD_INFO, LOOP_LAG, SERVICE_READY, SERVICE_UNAVAILABLE
from passbook.tracing.switch import TracingRefused, exporting

EXIT_CONFIGURATION: Final = 78
STOP_TIMEOUT_S: Final = 8.0
_CLOSE_TIMEOUT_S: Final = 5.0
_PREFLIGHT_TIMEOUT_S: Final = 10.0
_ALIVE_S: Final = 15.0
_BEAT_S: Final = 0.5
_FIRST_RETRY_S: Final = 0.2
_LAST_RETRY_S: Final = 5.0


class PartStopped(Exception):
    """The part must not go on with what it has; the message says what an operator has to do."""


UNAVAILABLE: Final = (StoreUnavailable, LogIncomplete, ConsumerLost, PublishFailed, PartStopped)
"""A server does not answer, or what it says is in doubt. The session that met it ends and a new one
starts, with backoff: it goes on by itself when the cause is gone."""
REFUSED: Final = (StoreMismatch, TopicMismatch, MissingSetting, SecurityRefused)
"""The configuration is wrong; trying again does not help."""
_RENEWED: Final = (MissingSetting, SecurityRefused)
"""Files that are read anew for each session. Of one that has worked they may be in the middle of being
replaced, a certificate before its key."""

log = structlog.get_logger()


class Health:
    """What the probes are told. Written by the event loop, read by the probes' thread."""

    def __init__(self) -> None:
        """Start alive and not ready."""
        self.reason = "starting"
        self.has_worked = False
        self._beat = time.monotonic()

    def ready(self) -> None:
        """Say that the service does its work."""
        if self.reason:
            log.info("service.ready")
        self.reason = ""
        self.has_worked = True
        SERVICE_READY.set(1)

    def not_ready(self, reason: str) -> None:
        """Say that it does not, and why."""
        self.reason = reason
        SERVICE_READY.set(0)

    def standing_still(self) -> str:
        """Say so when the event loop has not turned lately."""
        alive = time.monotonic() - self._beat < _ALIVE_S
        return "" if alive else "the event loop stands still"

    async def beat(self) -> None:
        """Show that the loop turns, and measure how late it is, until cancelled."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(_BEAT_S)
            self._beat = time.monotonic()
            LOOP_LAG.set(max(0.0, self._beat - before - _BEAT_S))


Session = Callable[[asyncio.Event, Health], Awaitable[None]]
"""Opens what it needs, works until the event is set, and closes everything. It may be called
again after it raised one of `UNAVAILABLE`, and must lose nothing by that."""


Around = Callable[[], AbstractAsyncContextManager[object]]
"""What is there from the start to the end of the process, whether sessions succeed or not."""


def service_settings(name: str) -> Settings:
    """Return the settings of a service; where they cannot be used, say so and end the process."""
    try:
        return load_settings()
    except MissingSetting as error:
        configure_logging(service=name)
        sys.exit(_refused(error))


def run_service(
    name: str, settings: Settings, session: Session, around: Around = nullcontext
) -> int:
    """Run a service until it is told to stop; return the exit code of the process. `around` is
    entered before the first session and left after the last one.
    """
    configure_logging(service=name, log_format=settings.log_format, level=settings.log_level)
    BUILD_INFO.labels(version("passbook"), python_version(), settings.build_commit).set(1)
    health = Health()
    probes = {"/livez": health.standing_still, "/readyz": lambda: health.reason}
    server = serve_probes(settings.metrics_host, settings.metrics_port, probes)
    log.info("service.started", metrics_port=server.server_port)
    try:
        with exporting(settings.tracing, name):
            # What is loaded by now stays; the young generation is sized for batches of thousands.
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 20, 50)
            return uvloop.run(_run(health, session, around))
    except TracingRefused as error:
        return _refused(error)
    except Exception:
        log.exception("service.crashed")
        return 1
    finally:
        server.shutdown()
        log.info("service.stopped")


async def _run(health: Health, session: Session, around: Around) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_stray)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with around():
            return await _work(stop, health, session)
    except REFUSED as error:
        return _refused(error)


async def _work(stop: asyncio.Event, health: Health, session: Session) -> int:
    work = asyncio.create_task(_sessions(stop, health, session))
    stopping = asyncio.create_task(stop.wait())
    async with alongside(health.beat()):
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            health.not_ready("stopping")
            log.info("service.stopping")
            await asyncio.wait({work}, timeout=STOP_TIMEOUT_S)
        if not work.done():
            work.cancel()
            await asyncio.wait({work}, timeout=1)
            return 1
        stopping.cancel()
        return await work


async def _sessions(stop: asyncio.Event, health: Health, session: Session) -> int:
    retry_s = _FIRST_RETRY_S
    while not stop.is_set():
        started = time.monotonic()
        try:
            await session(stop, health)
        except (*REFUSED, *UNAVAILABLE) as error:
            renewing = health.has_worked and isinstance(error, _RENEWED)
            if isinstance(error, REFUSED) and not renewing:
                return _refused(error)
            if time.monotonic() - started > _LAST_RETRY_S:
                retry_s = _FIRST_RETRY_S
            pause_s = retry_s * random.uniform(0.5, 1.0)
            health.not_ready(str(error))
            SERVICE_UNAVAILABLE.inc()
            log.warning("service.unavailable", error=str(error), retry_s=round(pause_s, 2))
            retry_s = min(retry_s * 2, _LAST_RETRY_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause_s)
    return 0


def _stray(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what nobody awaited. The loop's own words would quote the exception."""
    log.error("task.failed", message=context["message"], exc_info=context.get("exception"))


def _refused(error: Exception) -> int:
    log.error("service.refused", error=str(error))
    return EXIT_CONFIGURATION


@asynccontextmanager
async def alongside(*coroutines: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run background work for as long as the block; it is cancelled and awaited at the end. What it
    raises ends the block, and is raised there: nobody goes on without a part of the work.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
    except BaseExceptionGroup as errors:
        raise errors.exceptions[-1] from None  # the block's own comes last


@asynccontextmanager
async def event_store_pool(
    settings: Settings, application: str, init: OnConnect | None = None
) -> AsyncIterator[asyncpg.Pool]:
    """Open a pool on an event store that passed its preflight; see `open_pool` for `init`.

    Raises:
        StoreMismatch: it did not pass.
        StoreUnavailable: it does not answer.
    """
    async with database_pool(settings.event_store, application, init=init) as pool:
        try:
            async with lent(pool, _PREFLIGHT_TIMEOUT_S) as connection:
                await check_event_store(
                    connection,
                    f"passbook_{application.replace('-', '_')}",
                    allow_unsafe=settings.allow_unsafe_durability,
                )
        except FAILURES as error:
            message = f"PostgreSQL: {said(error)}"
            raise StoreUnavailable(message) from error
        yield pool


@asynccontextmanager
async def database_pool(
    dsn: str, application: str, size: int = 4, init: OnConnect | None = None
) -> AsyncIterator[asyncpg.Pool]:
    """Open a pool of up to `size` connections, and close it within a bounded time.

    Raises:
        StoreUnavailable: the database does not answer, or refuses the login.
    """
    try:
        pool = await open_pool(dsn, application=application, size=size, init=init)
    except FAILURES as error:
        message = f"PostgreSQL: {said(error)}"
        raise StoreUnavailable(message) from error
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await pool.close()
        except TimeoutError:
            pool.terminate()


async def check_kafka(settings: Settings) -> None:
    """Return if the broker has the topics as this code needs them.

    Raises:
        TopicMismatch: it has not.
        ConsumerLost: no broker answers.
    """
    async with kafka_admin(settings.kafka) as admin:
        await check_topics(admin, settings.topics)
