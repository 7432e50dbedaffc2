"""`passbook migrate` and `passbook topics apply`: what services find in place before they start."""

from pathlib import Path
from typing import Annotated, Final

import asyncpg
from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import RenderableType
from rich.text import Text

from passbook.cli.connect import admin_dsn, connect, read_model_owner
from passbook.cli.failures import EXIT_FAILED, EXIT_OK, CommandFailed
from passbook.cli.logins import give_passwords
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit
from passbook.cli.patience import patiently
from passbook.cli.secrets import passwords_in
from passbook.config import Settings
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.preflight import event_store_migrations
from passbook.messaging.admin import kafka_admin
from passbook.messaging.topics import TopicSpec, apply_topics, missing_topics
from passbook.migrations import Migration, apply_migrations, pending_migrations
from passbook.projection.inline import inline_projections, install_inline
from passbook.projection.protocol import projection_migrations
from passbook.service import database_pool
from services.read_models import READ_MODELS

_APPLICATION: Final = "passbook-setup"

topics = App(name="topics", help="Create and check the Kafka topics.")

Check = Annotated[
    bool, Parameter(negative="", show_default=False, help="Change nothing; exit 1 if it is needed.")
]
Wait = Annotated[
    float,
    Parameter(
        validator=Number(gte=0, lte=3600),
        help="Seconds to wait for servers that do not answer yet.",
    ),
]


async def migrate(
    *,
    check: Check = False,
    passwords: Annotated[
        Path | None,
        Parameter(help="Directory with a file a login: give each the password in its file."),
    ] = None,
    wait: Wait = 0,
    options: Options = DEFAULTS,
) -> int:
    """Bring the schema of the event store and of the read models up to date.

    The login must own the schema: `PASSBOOK_EVENT_STORE_DSN` (and `PASSBOOK_READ_MODEL_DSN`, if the
    read models live elsewhere) of an owner, or the servers of a running `passbook up`.
    """
    event_store, read_model = admin_dsn(options), read_model_owner(options)
    given = {} if passwords is None or check else passwords_in(passwords)
    work = pending_schema if check else apply_schema
    scripts = await patiently(lambda: work(event_store, read_model), wait)
    for dsn in {event_store, read_model} if given else ():
        await give_passwords(dsn, given)
    document = [
        {"component": script.component, "version": script.version, "name": script.name}
        for script in scripts
    ]
    names = [f"{script.component} {script.name}" for script in scripts]
    emit(
        {"pending": document} if check else {"applied": document},
        options,
        lambda: _told("migration", "pending" if check else "applied", names),
    )
    return EXIT_FAILED if check and scripts else EXIT_OK


@topics.command
async def apply(*, check: Check = False, wait: Wait = 0, options: Options = DEFAULTS) -> int:
    """Create the topics that are missing; refuse if one exists with other settings."""
    settings = connect(options)
    work = missing if check else create
    specs = await patiently(lambda: work(settings), wait)
    names = [spec.name for spec in specs]
    emit(
        {"missing": names} if check else {"created": names},
        options,
        lambda: _told("topic", "missing" if check else "created", names),
    )
    return EXIT_FAILED if check and specs else EXIT_OK


async def apply_schema(event_store: str, read_model: str) -> list[Migration]:
    """Apply what is pending, and return it. Both are DSNs of logins that own their schema.

    Projections that the settings call inline are brought up to date and guarded: appends without
    them are refused from then on. Nothing is written when nothing is pending, so that any login
    will do then.

    Raises:
        MigrationError, StoreUnavailable: see `apply_migrations` and `database_pool`.
        CommandFailed: the login may not do it.
    """
    applied = []
    for dsn, scripts in _scripts(event_store, read_model):
        async with database_pool(dsn, _APPLICATION) as pool, pool.acquire() as connection:
            if await pending_migrations(connection, scripts):
                applied += await _apply(connection, scripts)
    for projection in inline_projections(Settings().inline):
        async with database_pool(event_store, _APPLICATION) as pool, pool.acquire() as connection:
            store = PostgresEventStore(pool, Archive(Settings().archive))
            await install_inline(connection, store, projection)
    return applied


async def pending_schema(event_store: str, read_model: str) -> list[Migration]:
    """Return what `apply_schema` would apply, changing nothing."""
    pending = []
    for dsn, scripts in _scripts(event_store, read_model):
        async with database_pool(dsn, _APPLICATION) as pool, pool.acquire() as connection:
            pending += await pending_migrations(connection, scripts)
    return pending


async def create(settings: Settings) -> list[TopicSpec]:
    """Create the topics that are missing, and return them; see `apply_topics`."""
    async with kafka_admin(settings.kafka) as admin:
        return await apply_topics(admin, settings.topics)


async def missing(settings: Settings) -> list[TopicSpec]:
    """Return what `create` would create, changing nothing; see `missing_topics`."""
    async with kafka_admin(settings.kafka) as admin:
        return await missing_topics(admin, settings.topics)


def _scripts(event_store: str, read_model: str) -> list[tuple[str, list[Migration]]]:
    inline = inline_projections(Settings().inline)
    return [
        (
            event_store,
            event_store_migrations() + (projection_migrations(*inline) if inline else []),
        ),
        (read_model, projection_migrations(*READ_MODELS)),
    ]


async def _apply(connection: asyncpg.Connection, scripts: list[Migration]) -> list[Migration]:
    try:
        return await apply_migrations(connection, scripts)
    except asyncpg.InsufficientPrivilegeError as error:
        message = f"{error}: migrations need a login that owns the schema and may create roles"
        raise CommandFailed(message) from error


def _told(what: str, done: str, names: list[str]) -> RenderableType:
    lines = [f"{done}: {what} {name}" for name in names]
    return Text("\n".join(lines) or f"Nothing is {done}: every {what} is in place.")
