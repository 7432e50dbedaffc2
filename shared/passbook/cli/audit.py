"""`passbook audit`: the evidence, and whether it holds."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

from cyclopts import App, Parameter
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from passbook.cli import checkpoint_files, evidence
from passbook.cli.checkpoint_files import Checkpoints
from passbook.cli.connect import connect
from passbook.cli.failures import EXIT_FAILED, EXIT_OK
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit
from passbook.cli.progress import counted
from passbook.eventstore.archive.files import Archive
from passbook.eventstore.errors import AccountNotFound
from passbook.messaging.cloudevents import format_time
from passbook.service import database_pool
from services.audit_projector.heads import environment
from services.audit_projector.queries import AuditEntry, audit_trail
from services.audit_projector.signatures import read_public_key
from services.audit_projector.verify import Verification
from services.audit_projector.verify import verify as verify_log

_APPLICATION: Final = "passbook-cli"
_SHORT_HASH: Final = 16

app = App(name="audit", help="Show, verify and sign the evidence.")
app.command(evidence.key)
app.command(evidence.checkpoint)


@app.command
async def show(
    account_id: Annotated[UUID, Parameter(help="The account.")], /, *, options: Options = DEFAULTS
) -> None:
    """Show the audit entries of an account, with their hashes, oldest first."""
    async with database_pool(connect(options).read_model, _APPLICATION) as pool:
        entries = await audit_trail(pool, account_id)
    if not entries:
        raise AccountNotFound(account_id)
    emit([entry.to_dict() for entry in entries], options, lambda: _trail(entries))


@app.command
async def verify(
    *,
    checkpoint: Annotated[
        list[Path] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            show_default=False,
            help="Signed checkpoints to hold the log against, files or directories; by default "
            "`checkpoints` of the data directory.",
        ),
    ] = None,
    public_key: Annotated[
        list[Path] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            show_default=False,
            help="Keys of which one must have signed each (PEM); by default those they name, which "
            "a forger would name, too.",
        ),
    ] = None,
    options: Options = DEFAULTS,
) -> int:
    """Recompute every chain and compare every entry with the event store and with what was signed;
    exit 1 if something differs.

    Compared is what the audit projection has reached; newer events are counted.
    """
    settings = connect(options)
    trusted = frozenset(read_public_key(file) for file in public_key or ())
    async with (
        database_pool(settings.read_model, _APPLICATION) as audit,
        database_pool(settings.event_store, _APPLICATION) as store,
        audit.acquire() as entries,
        store.acquire() as events,
    ):
        signed = checkpoint_files.load(checkpoint, options, await environment(events), trusted)
        heads = [one.checkpoint for one in signed.used.values()]
        with counted("verifying", "entries") as on_progress:
            found = await verify_log(entries, events, on_progress, heads, Archive(settings.archive))
    differences = [asdict(difference) for difference in found.differences]
    ok = found.ok and not signed.wrong
    document = {
        "ok": ok,
        "entries": found.entries,
        "slots": found.slots,
        "newer_events": found.newer,
        "first_difference": differences[0] if differences else None,
        "differences": differences,
        "checkpoints": signed.document(found.confirmed),
    }
    emit(document, options, lambda: _verdict(found, signed))
    return EXIT_OK if ok else EXIT_FAILED


def _trail(entries: Sequence[AuditEntry]) -> RenderableType:
    table = Table(
        "slot:number",
        "version",
        "occurred",
        "event",
        "actor",
        "command",
        "hash",
        box=None,
        pad_edge=False,
        padding=(0, 3, 0, 0),
    )
    for entry in entries:
        table.add_row(
            f"{entry.slot}:{entry.slot_seq}",
            str(entry.version),
            format_time(entry.occurred_at),
            entry.event_type,
            Text(entry.actor),
            Text(entry.command_id),
            entry.hash.hex()[:_SHORT_HASH] + "…",
        )
    return table


def _verdict(found: Verification, signed: Checkpoints) -> RenderableType:
    extent = f"{found.entries:,} entries in {found.slots} slots compared with the event store"
    if signed.used:
        extent += f" and with {len(signed.used)} checkpoints"
    ok = found.ok and not signed.wrong
    lines = [
        Text(f"OK: {extent}", style="green") if ok else Text(f"NOT OK: {extent}", style="bold red")
    ]
    lines += [
        Text(f"  {one.slot}:{one.slot_seq}  {one.kind}: {one.detail}", style="red")
        for one in found.differences
    ]
    lines += [Text(f"  {one.file}  {one.kind}: {one.detail}", style="red") for one in signed.wrong]
    if found.newer:
        lines.append(Text(f"{found.newer:,} newer events are not in the audit log yet", "yellow"))
    if signed.used and not signed.trusted:
        keys = ", ".join(sorted({one.public_key.hex() for one in signed.used.values()}))
        lines.append(Text(f"signed by {keys}; name the key you trust with --public-key", "yellow"))
    return Group(*lines)
