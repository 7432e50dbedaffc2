"""Where checkpoints lie, and which of them prove something."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Final
from uuid import UUID

from passbook.cli.failures import CommandFailed
from passbook.cli.options import Options
from passbook.embedded.datadir import DataDir
from services.audit_projector.checkpoints import (
    Checkpoint,
    SignedCheckpoint,
    check_trusted,
    read,
    unlinked,
)
from services.audit_projector.errors import BadCheckpoint

_SUFFIX: Final = ".checkpoint.json"


@dataclass(frozen=True, slots=True)
class Wrong:
    """A file that proves nothing, and why; the kinds are those of `checkpoints`."""

    file: str
    kind: str
    detail: str


@dataclass(slots=True)
class Checkpoints:
    """Those to be used, by file, and those that cannot be. `trusted` are the keys of which one must
    have signed each of them; when there are none, the signer is only known by what the files say.
    """

    trusted: frozenset[bytes] = frozenset()
    used: dict[str, SignedCheckpoint] = field(default_factory=dict)
    wrong: list[Wrong] = field(default_factory=list)

    def document(self, confirmed: int) -> dict[str, object]:
        """Return what `audit verify --json` tells of them."""
        return {
            "used": len(self.used),
            "confirmed_heads": confirmed,
            "trusted_key": bool(self.trusted),
            "signed_by": sorted({signed.public_key.hex() for signed in self.used.values()}),
            "wrong": [asdict(one) for one in self.wrong],
        }


def directory(options: Options) -> Path:
    """Return the directory in which checkpoints are looked for when no file is named."""
    return DataDir(options.data_dir).path / "checkpoints"


def load(
    places: Sequence[Path] | None,
    options: Options,
    environment_id: UUID,
    trusted: frozenset[bytes],
) -> Checkpoints:
    """Read checkpoints: files, or everything in directories, where each must follow another one.

    Raises:
        CommandFailed: a file cannot be read.
        ExtraMissing: install `passbook[evidence]`.
    """
    found = Checkpoints(trusted)
    for place in [directory(options)] if places is None else places:
        whole = place.is_dir() or places is None
        read_here = {}
        for file in found_in(place) if whole else [place]:
            try:
                signed = read_file(file)
                check_trusted(signed, environment_id, trusted)
            except BadCheckpoint as error:
                found.wrong.append(Wrong(str(file), error.kind, error.detail))
            else:
                read_here[str(file)] = signed
        if whole:
            found.wrong += [
                Wrong(name, "link_missing", "the checkpoint before it is not here")
                for name in unlinked(read_here)
            ]
        found.used |= read_here
    return found


def found_in(folder: Path) -> list[Path]:
    """Return the checkpoints of a directory, oldest first by their names."""
    return sorted(folder.glob(f"*{_SUFFIX}"))


def read_file(file: Path) -> SignedCheckpoint:
    """Return the checkpoint in a file.

    Raises:
        BadCheckpoint, ExtraMissing: see `read`.
        CommandFailed: the file cannot be read.
    """
    try:
        document = file.read_bytes()
    except OSError as error:
        message = f"{file}: {error.strerror}"
        raise CommandFailed(message) from error
    return read(document)


def name_of(checkpoint: Checkpoint) -> str:
    """Return the file name under which a checkpoint is kept: names sort as the times do."""
    moment = checkpoint.created_at.astimezone(UTC)
    return moment.strftime("%Y%m%dT%H%M%S.%fZ") + _SUFFIX


def write_file(file: Path, document: bytes) -> None:
    """Write a checkpoint to disk, never over another one; a crash leaves it whole or not at all.

    Raises:
        CommandFailed: it cannot be written there.
    """
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with scratch.open("xb") as opened:
            opened.write(document)
            opened.flush()
            os.fsync(opened.fileno())
        os.link(scratch, file)
    except OSError as error:
        message = f"{file}: {error.strerror}"
        raise CommandFailed(message) from error
    finally:
        scratch.unlink(missing_ok=True)
