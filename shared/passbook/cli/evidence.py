"""`passbook audit key` and `audit checkpoint`: heads of the audit log, signed.

Nobody who can write to the databases should have the private key, or be able to change the files
that were signed with it: what they prove is that the databases say what they said then.
"""

from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter
from rich.text import Text

from passbook.cli import checkpoint_files
from passbook.cli.connect import connect
from passbook.cli.failures import CommandFailed
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit
from passbook.service import database_pool
from services.audit_projector.checkpoints import SignedCheckpoint, check_trusted, newest, sign
from services.audit_projector.errors import BadCheckpoint
from services.audit_projector.heads import environment, heads_to_sign
from services.audit_projector.signatures import Signer, new_key

_APPLICATION: Final = "passbook-cli"


def key(
    file: Annotated[Path, Parameter(help="Where the private key is to be.")],
    /,
    *,
    options: Options = DEFAULTS,
) -> None:
    """Make a key to sign checkpoints with: the private half in FILE, the public one on stdout.

    Keep FILE off the machines that hold the databases, and give the public half to whoever is to
    verify: `passbook audit verify --public-key`.
    """
    try:
        public = new_key(file)
    except OSError as error:
        message = f"{file}: {error.strerror}"
        raise CommandFailed(message) from error
    emit({"file": str(file), "public_key": public}, options, lambda: Text(public.rstrip()))


async def checkpoint(
    *,
    key: Annotated[Path, Parameter(help="The private key to sign with, from `audit key`.")],
    output: Annotated[
        Path | None,
        Parameter(
            show_default=False,
            help="The file to write; by default a new one in `checkpoints` of the data directory.",
        ),
    ] = None,
    previous: Annotated[
        Path | None,
        Parameter(
            show_default=False,
            help="The checkpoint that this one follows; by default the newest in `checkpoints`.",
        ),
    ] = None,
    options: Options = DEFAULTS,
) -> None:
    """Sign where each chain of the audit log ends now, so that nobody can cut it off unseen.

    Copy the file to where nobody who can write to the databases can change it. Refused when the
    log does not contain what the previous checkpoint names.
    """
    settings = connect(options)
    signer = Signer.of(key)
    async with (
        database_pool(settings.read_model, _APPLICATION) as audit,
        database_pool(settings.event_store, _APPLICATION) as store,
        audit.acquire() as entries,
        store.acquire() as events,
    ):
        environment_id = await environment(events)
        before = _previous(previous, options)
        if before is not None:
            check_trusted(before, environment_id)
        signed = await heads_to_sign(entries, environment_id, before)
    file = output or checkpoint_files.directory(options) / checkpoint_files.name_of(signed)
    checkpoint_files.write_file(file, sign(signed, signer))
    document = {"file": str(file), "entries": signed.entries, "previous": signed.previous}
    told = f"{signed.entries:,} entries signed: {file}"
    emit(document, options, lambda: Text(told))


def _previous(file: Path | None, options: Options) -> SignedCheckpoint | None:
    files = [file] if file else checkpoint_files.found_in(checkpoint_files.directory(options))
    read = []
    for one in files:
        try:
            read.append(checkpoint_files.read_file(one))
        except BadCheckpoint as error:
            message = f"{one}: {error}: nothing can follow it"
            raise CommandFailed(message) from error
    return newest(read)
