"""`passbook snapshot verify`: whether the stored states of accounts are what their events lead to."""

from typing import Annotated, Final

from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Group, RenderableType
from rich.text import Text

from passbook.cli.connect import connect
from passbook.cli.failures import EXIT_FAILED, EXIT_OK
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit
from passbook.cli.progress import counted
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.postgres import PostgresEventStore
from passbook.eventstore.snapshot_verification import Verification, verify_snapshots
from passbook.service import database_pool

_APPLICATION: Final = "passbook-cli"
_MEANING: Final = {
    "hash": "was changed after it was stored",
    "unrecorded": "the log has no event of this version",
    "state": "is not what the events lead to",
}

app = App(name="snapshot", help="Verify the stored states of accounts.")


@app.command
async def verify(
    *,
    sample: Annotated[
        int | None,
        Parameter(validator=Number(gte=1), help="Compare only so many, chosen by chance."),
    ] = None,
    options: Options = DEFAULTS,
) -> int:
    """Replay accounts from their first event and compare every snapshot; exit 1 if one is wrong.

    Readers replay by themselves when a snapshot was changed or has no event. One that is not what
    its events lead to they would believe: delete it, or all of them; the table may be emptied at
    any time.
    """
    settings = connect(options)
    async with database_pool(settings.event_store, _APPLICATION) as pool:
        store = PostgresEventStore(pool, Archive(settings.archive))
        with counted("verifying", "snapshots") as on_progress:
            found = await verify_snapshots(pool, store, sample, on_progress)
    document = {
        "ok": found.ok,
        "snapshots": found.snapshots,
        "checked": found.checked,
        "invalid": [one.to_dict() for one in found.invalid],
        "other_folds": found.other_folds,
    }
    emit(document, options, lambda: _verdict(found))
    return EXIT_OK if found.ok else EXIT_FAILED


def _verdict(found: Verification) -> RenderableType:
    extent = f"{found.checked:,} of {found.snapshots:,} snapshots compared with a replay"
    lines = [
        Text(f"OK: {extent}", style="green")
        if found.ok
        else Text(f"NOT OK: {extent}, {len(found.invalid):,} wrong", style="bold red")
    ]
    lines += [
        Text(f"  {one.stream_id} version {one.version}: {_MEANING[one.reason]}", style="red")
        for one in found.invalid
    ]
    if found.other_folds:
        lines.append(
            Text(f"{found.other_folds:,} are of another fold version, and not used", "yellow")
        )
    return Group(*lines)
