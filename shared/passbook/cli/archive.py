"""`passbook archive`: the old part of the log in files, and back."""

import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import asyncpg
from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from passbook.cli.account_views import parse_moment
from passbook.cli.connect import admin_dsn, connect
from passbook.cli.failures import EXIT_FAILED, EXIT_OK, CommandFailed, Misused
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit
from passbook.cli.progress import Steps, counted
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.archive.manifests import described
from passbook.eventstore.archive.planning import Choice
from passbook.eventstore.archive.records import ArchiveRecord, Segment, all_segments, archives
from passbook.eventstore.archive.restore import Restored, restore_archives
from passbook.eventstore.archive.run import Archived, Watch, run_archive
from passbook.eventstore.archive.verification import Verification, verify_archive
from passbook.service import database_pool

_APPLICATION: Final = "passbook-cli"
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_SHORT_HASH: Final = 16

app = App(name="archive", help="Move the old part of the log into files, and back.")


@app.command
async def run(
    *,
    before: Annotated[
        str | None,
        Parameter(
            help="Archive what was recorded before this date (from midnight UTC), or time with its "
            "zone."
        ),
    ] = None,
    closed: Annotated[
        bool, Parameter(negative="", show_default=False, help="Archive closed accounts.")
    ] = False,
    options: Options = DEFAULTS,
) -> None:
    """Move the old part of the log into Parquet segments; every read goes through to them.

    Rows are removed in one transaction, when their segments were read again and compared, every
    account has a verified snapshot, and the relay and every read model have had them. The newest
    event of each slot stays. Stop it whenever you like, and run it again.
    """
    if (before is None) != closed:
        message = "say what to archive: either --before DATE or --closed"
        raise Misused(message)
    choice = Choice(None if before is None else _moment(before))
    settings = connect(options)
    began = time.monotonic()
    async with _owner(options) as owner, database_pool(settings.read_model, _APPLICATION) as rows:
        with counted("verifying snapshots", "accounts") as progress:
            watch = Watch(Steps(), progress)
            found = await run_archive(owner, rows, Archive(settings.archive), choice, watch)
    seconds = round(time.monotonic() - began, 3)
    document = {"ok": True} | found._asdict() | {"seconds": seconds}
    emit(document, options, lambda: _archived(found, settings.archive, seconds))


@app.command
async def verify(*, options: Options = DEFAULTS) -> int:
    """Read every file of the archive and compare it with its manifest and with the log; exit 1 if
    one is missing or was changed.
    """
    settings = connect(options)
    async with database_pool(settings.event_store, _APPLICATION) as pool, pool.acquire() as events:
        with counted("verifying", "events") as progress:
            found = await verify_archive(events, Archive(settings.archive), progress)
    first = None if found.wrong is None else {"where": found.wrong[0], "what": found.wrong[1]}
    document = {"ok": found.ok} | found._asdict() | {"wrong": first}
    emit(document, options, lambda: _verdict(found))
    return EXIT_OK if found.ok else EXIT_FAILED


@app.command
async def restore(
    *,
    manifest: Annotated[
        int | None,
        Parameter(
            validator=Number(gte=1),
            help="The oldest manifest to bring back; those above it come first. All by default.",
        ),
    ] = None,
    options: Options = DEFAULTS,
) -> None:
    """Bring archived events back into the table, the newest manifest first, each in one transaction.

    Its files and its record are gone afterwards.
    """
    settings = connect(options)
    async with _owner(options) as owner:
        with counted("restoring", "events") as progress:
            archive = Archive(settings.archive)
            found = await restore_archives(owner, archive, manifest, progress)
    emit({"ok": True} | found._asdict(), options, lambda: _restored(found))


@app.command(name="list")
async def list_(*, options: Options = DEFAULTS) -> None:
    """List the manifests on record, oldest first, with their segments."""
    settings = connect(options)
    async with database_pool(settings.event_store, _APPLICATION) as pool:
        known, segments = await archives(pool.fetch), await all_segments(pool.fetch)
    parts = {one.number: [part for part in segments if part.archive == one.number] for one in known}
    document = [
        {
            "manifest": one.number,
            "file": one.file,
            "sha256": one.sha256.hex(),
            "events": sum(part.events for part in parts[one.number]),
            "bytes": sum(part.bytes for part in parts[one.number]),
            "segments": described(parts[one.number]),
        }
        for one in known
    ]
    emit(document, options, lambda: _manifests(known, parts))


@asynccontextmanager
async def _owner(options: Options) -> AsyncIterator[asyncpg.Pool]:
    """Open a pool as the owner of the event store.

    Raises:
        CommandFailed: the login may not move events.
    """
    async with database_pool(admin_dsn(options), _APPLICATION) as pool:
        try:
            yield pool
        except asyncpg.InsufficientPrivilegeError as error:
            message = (
                f"{error}: moving events needs the login that owns the event store: set "
                "PASSBOOK_EVENT_STORE_DSN to it"
            )
            raise CommandFailed(message) from error


def _moment(text: str) -> datetime:
    return parse_moment(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)


def _archived(found: Archived, directory: Path, seconds: float) -> RenderableType:
    if found.manifest is None:
        return Text("nothing to archive", style="yellow")
    return Text(
        f"OK: {found.events:,} events of {found.streams:,} accounts moved into {found.segments} "
        f"segments ({found.bytes:,} bytes) of manifest {found.manifest} in {directory}, "
        f"{seconds:.1f} s",
        style="green",
    )


def _verdict(found: Verification) -> RenderableType:
    if found.wrong is not None:
        return Text(f"NOT OK: {found.wrong[0]} {found.wrong[1]}", style="bold red")
    return Text(
        f"OK: {found.events:,} events in {found.segments} segments of {found.manifests} manifests "
        "are as they were archived",
        style="green",
    )


def _restored(found: Restored) -> RenderableType:
    if not found.manifests:
        return Text("nothing is archived", style="yellow")
    numbers = ", ".join(map(str, found.manifests))
    return Text(f"OK: {found.events:,} events of manifest {numbers} are back", style="green")


def _manifests(
    known: Sequence[ArchiveRecord], parts: Mapping[int, Sequence[Segment]]
) -> RenderableType:
    columns = ("manifest", "segments", "events", "bytes", "sha256")
    table = Table(*columns, box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for one in known:
        table.add_row(
            one.file,
            str(len(parts[one.number])),
            f"{sum(part.events for part in parts[one.number]):,}",
            f"{sum(part.bytes for part in parts[one.number]):,}",
            f"{one.sha256.hex()[:_SHORT_HASH]}…",
        )
    return table
