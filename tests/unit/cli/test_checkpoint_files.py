"""Checkpoints in files: which are used, and what is said of the others."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from passbook.cli.checkpoint_files import (
    Checkpoints,
    directory,
    found_in,
    load,
    name_of,
    read_file,
    write_file,
)
from passbook.cli.failures import CommandFailed
from passbook.cli.options import Options
from services.audit_projector.chain import GENESIS
from services.audit_projector.checkpoints import Checkpoint, Head, sign
from services.audit_projector.signatures import Signer, new_key

STORE = UUID("0b5e8a9c-6f1d-4a34-9a57-0d5f0f6f3a11")
MOMENT = datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC)


@pytest.fixture
def options(tmp_path: Path) -> Options:
    """Give a data directory that does not exist yet."""
    return Options(tmp_path / "data")


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    """Give a new key."""
    new_key(tmp_path / "key.pem")
    return Signer.of(tmp_path / "key.pem")


def written(folder: Path, signer: Signer, days: int, store: UUID = STORE) -> list[Path]:
    """Write a chain of checkpoints, one a day; return their files."""
    files: list[Path] = []
    previous = None
    for day in range(days):
        moment = MOMENT + timedelta(days=day)
        checkpoint = Checkpoint(store, moment, (Head(0, GENESIS),) * 64, previous)
        files.append(folder / name_of(checkpoint))
        write_file(files[-1], sign(checkpoint, signer))
        previous = read_file(files[-1]).sha256
    return files


def told(found: Checkpoints) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the names of the files that are used, and of the others with their kinds."""
    wrong = [(Path(one.file).name, one.kind) for one in found.wrong]
    return [Path(file).name for file in found.used], wrong


def test_what_is_in_the_data_directory_is_used_when_nothing_is_named(
    options: Options, signer: Signer
) -> None:
    assert told(load(None, options, STORE, frozenset())) == ([], [])
    files = written(directory(options), signer, 3)
    (directory(options) / "notes.txt").write_text("nothing to do with it")
    assert found_in(directory(options)) == files
    names = [file.name for file in files]
    assert told(load(None, options, STORE, frozenset({signer.public_key}))) == (names, [])


def test_in_a_directory_every_checkpoint_follows_another_but_the_oldest(
    options: Options, signer: Signer, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    first, second, third = written(kept, signer, 3)
    first.unlink()
    assert told(load([kept], options, STORE, frozenset())) == ([second.name, third.name], [])
    (fourth,) = written(kept, signer, 1)
    second.unlink()
    found = load([kept], options, STORE, frozenset())
    assert told(found) == ([fourth.name, third.name], [(third.name, "link_missing")])
    # A file that is named stands for itself.
    assert told(load([third], options, STORE, frozenset())) == ([third.name], [])


def test_files_that_prove_nothing_are_named_and_not_used(
    options: Options, signer: Signer, tmp_path: Path
) -> None:
    (fine,) = written(tmp_path / "fine", signer, 1)
    (foreign,) = written(tmp_path / "foreign", signer, 1, UUID(int=1))
    torn = tmp_path / "torn"
    torn.write_bytes(fine.read_bytes()[:-9])
    places = [fine, foreign, torn]
    assert told(load(places, options, STORE, frozenset())) == (
        [fine.name],
        [(foreign.name, "foreign_environment"), ("torn", "unreadable")],
    )
    assert told(load([fine], options, STORE, frozenset({bytes(32)}))) == (
        [],
        [(fine.name, "wrong_key")],
    )
    with pytest.raises(CommandFailed, match="No such file"):
        load([tmp_path / "missing"], options, STORE, frozenset())


def test_a_checkpoint_is_never_written_over_another_one(signer: Signer, tmp_path: Path) -> None:
    (file,) = written(tmp_path / "kept", signer, 1)
    before = file.read_bytes()
    with pytest.raises(CommandFailed, match="File exists"):
        write_file(file, b"{}")
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]
