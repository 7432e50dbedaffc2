"""`passbook projection rebuild` and `verify`: a read model from the log, beside the live one."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Final

import asyncpg
import uvloop
from cyclopts import Parameter
from rich.text import Text

from passbook.cli.connect import connect, read_model_owner
from passbook.cli.failures import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    CommandFailed,
    Misused,
    NotFound,
)
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit, err
from passbook.cli.progress import counted
from passbook.cli.rebuild_report import document, swap_verdict, verdict
from passbook.config import Settings
from passbook.embedded.signals import run_until_signalled
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.errors import StoreUnavailable
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.preflight import check_event_store, check_migrated
from passbook.projection.protocol import Projection, projection_migrations
from passbook.projection.rebuild import CONNECTIONS, Rebuilding, Rebuilt
from passbook.service import database_pool
from services.balance_projector.money import Money
from services.balance_projector.projection import BalanceProjection, inline
from services.read_models import READ_MODELS

_APPLICATION: Final = "passbook-rebuild"
_PROJECTIONS: Final[dict[str, Projection]] = {one.name: one for one in (*READ_MODELS, inline())}
# The copy's positions say how far it was; the same command goes on from there.
_GONE: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)

Name = Annotated[str, Parameter(help="The read model, as `projection list` calls it.")]
OnProgress = Callable[[int, int], None]


def rebuild(
    name: Name,
    /,
    *,
    rollback: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Put the former one back in its place instead, brought up to date.",
        ),
    ] = False,
    fresh: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Do not go on with a copy that an interrupted run has left.",
        ),
    ] = False,
    options: Options = DEFAULTS,
) -> int:
    """Build a read model anew from the log, compare, and put it in the place of the live one.

    Projectors and readers go on all the time. The rows that were live are kept beside it for
    --rollback, until the next rebuild. A run that is interrupted changes nothing; the same command
    goes on where it was. Needs the login that owns the read model.
    """
    if rollback and fresh:
        message = "--rollback goes back to what is there; --fresh is for building"
        raise Misused(message)

    async def run(one: Rebuilding) -> Rebuilt:
        return await (one.roll_back() if rollback else one.rebuild(fresh=fresh))

    result = uvloop.run(run_until_signalled(_with(name, options, run)))
    if result is None:
        err().print(Text("Stopped; the same command goes on from here.", style="dim"))
        return EXIT_INTERRUPTED
    found = document(name, result)
    emit(found, options, lambda: swap_verdict(found, rolled_back=rollback))
    return EXIT_OK


def verify(name: Name, /, *, options: Options = DEFAULTS) -> int:
    """Compare a read model with the fold of the log, by account and in sum; exit 1 if they differ.

    Both are compared at the positions that the live one has reached, which goes on meanwhile. Needs
    the login that owns the read model, for the tables that it is compared with.
    """
    money = Money() if name == BalanceProjection().name else None

    async def run(one: Rebuilding) -> Rebuilt:
        if money is None:
            return await one.verify()
        return await one.verify(money.count, money.look)

    result = uvloop.run(run_until_signalled(_with(name, options, run)))
    if result is None:
        return EXIT_INTERRUPTED
    found = document(name, result)
    if money is not None:
        found |= {
            "ok": result.ok and money.ok,
            "held": money.held,
            "paid_in": money.paid_in,
        }
    emit(found, options, lambda: verdict(found))
    return EXIT_OK if found["ok"] else EXIT_FAILED


@asynccontextmanager
async def rebuilding(
    projection: Projection,
    settings: Settings,
    owner_dsn: str,
    on_progress: OnProgress = lambda _done, _all: None,
) -> AsyncIterator[Rebuilding]:
    """Have what rebuilds a projection; `owner_dsn` is a login that owns the read models.

    Raises:
        StoreMismatch: the databases are not fit for it; the message says why.
        StoreUnavailable: one of them does not answer, or not any more.
        CommandFailed: the login may not do it.
    """
    async with (
        database_pool(owner_dsn, _APPLICATION, CONNECTIONS) as rows,
        database_pool(settings.event_store, _APPLICATION, CONNECTIONS) as events,
    ):
        async with events.acquire() as connection:
            unsafe = settings.allow_unsafe_durability
            environment_id = await check_event_store(connection, allow_unsafe=unsafe)
        async with rows.acquire() as connection:
            await check_migrated(connection, projection_migrations(projection))
        try:
            yield Rebuilding(
                projection,
                rows,
                PostgresEventStore(events, Archive(settings.archive)),
                environment_id,
                on_progress,
            )
        except asyncpg.InsufficientPrivilegeError as error:
            message = (
                f"{error}: rebuilding needs the login that owns the read models: set "
                "PASSBOOK_READ_MODEL_DSN to it"
            )
            raise CommandFailed(message) from error
        except _GONE as error:
            raise StoreUnavailable(str(error) or type(error).__name__) from error


async def _with(
    name: str, options: Options, run: Callable[[Rebuilding], Awaitable[Rebuilt]]
) -> Rebuilt:
    projection = _PROJECTIONS.get(name)
    if projection is None:
        message = f"{name} cannot be rebuilt: the read models are {', '.join(_PROJECTIONS)}"
        raise NotFound(message)
    with counted("folding the log", "events") as on_progress:
        async with rebuilding(
            projection, connect(options), read_model_owner(options), on_progress
        ) as one:
            return await run(one)
