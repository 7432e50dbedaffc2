"""`passbook contracts`: what others rely on, as files, and what a change would do to them."""

from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import App, Parameter
from rich.table import Table

import passbook
from passbook.cli.failures import EXIT_FAILED, EXIT_OK, CommandFailed, Misused
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit
from passbook.contracts.changes import Change
from passbook.contracts.documents import (
    OPENAPI_FILE,
    BreakingChange,
    compare_documents,
    message_documents,
    read_documents,
    write_documents,
)

_KEPT: Final = Path("deploy") / "contracts"

app = App(
    name="contracts",
    help="What others rely on: AsyncAPI, OpenAPI and JSON Schemas, made from the code.",
)


@app.command
def export(
    *,
    to: Annotated[Path | None, Parameter(show_default=False)] = None,
    options: Options = DEFAULTS,
) -> None:
    """Write the documents. Nothing is written when one would break who relies on the one there.

    Then leave what is there as it is, and make a new version beside it. A document that nobody
    relies on yet may be deleted before.

    Parameters
    ----------
    to
        The folder. Without it deploy/contracts of the checkout that this code runs from; an
        installed package has none, so that it must be named.
    """
    folder = to or _folder_of_checkout("--to")
    try:
        changes = write_documents(folder, documents())
    except BreakingChange as refused:
        _emit(folder, refused.changes, options, ok=False)
        raise CommandFailed(str(refused)) from refused
    _emit(folder, changes, options, ok=True, unchanged=f"nothing new: {folder}")


@app.command
def check(
    *,
    against: Annotated[Path | None, Parameter(show_default=False)] = None,
    options: Options = DEFAULTS,
) -> int:
    """Compare the documents in a folder with those of this code; exit 1 if there is a difference.

    An additive one harms nobody who keeps to the documents in the folder; a breaking one does.

    Parameters
    ----------
    against
        The folder. Without it deploy/contracts of the checkout that this code runs from; an
        installed package has none, so that it must be named.
    """
    folder = against or _folder_of_checkout("--against")
    if not folder.is_dir():
        message = f"there is no folder {folder}"
        raise Misused(message)
    changes = compare_documents(read_documents(folder), documents())
    _emit(folder, changes, options, ok=not changes, unchanged=f"as the code says: {folder}")
    return EXIT_FAILED if changes else EXIT_OK


def documents() -> dict[str, dict[str, Any]]:
    """Return path → document of everything that others rely on."""
    from services.query_api.app import openapi_document

    return {**message_documents(), OPENAPI_FILE: openapi_document()}


def _folder_of_checkout(option: str) -> Path:
    root = Path(passbook.__file__).parents[2]
    if not (root / "pyproject.toml").is_file() or not (root / _KEPT.parent).is_dir():
        message = f"an installed package has no {_KEPT.as_posix()}: name a folder with {option}"
        raise Misused(message)
    return root / _KEPT


def _emit(
    folder: Path, changes: list[Change], options: Options, *, ok: bool, unchanged: str = ""
) -> None:
    breaking = sum(change.kind == "breaking" for change in changes)
    document = {
        "folder": str(folder),
        "ok": ok,
        "breaking": breaking,
        "additive": len(changes) - breaking,
        "changes": [change._asdict() for change in changes],
    }
    emit(document, options, lambda: _table(changes) if changes else unchanged)


def _table(changes: list[Change]) -> Table:
    table = Table("", "where", "what", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for change in changes:
        style = "red" if change.kind == "breaking" else None
        table.add_row(change.kind, change.where, change.what, style=style)
    return table
