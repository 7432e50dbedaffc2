"""Checkpoints: what was signed is what is read, and whatever else is no checkpoint."""

import stat
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from services.audit_projector.chain import GENESIS
from services.audit_projector.checkpoints import (
    Checkpoint,
    Head,
    SignedCheckpoint,
    check_trusted,
    newest,
    read,
    sign,
    unlinked,
)
from services.audit_projector.errors import BadCheckpoint, BadKey, ExtraMissing
from services.audit_projector.signatures import Signer, new_key, public_pem, read_public_key

STORE = UUID("0b5e8a9c-6f1d-4a34-9a57-0d5f0f6f3a11")
OTHER_STORE = UUID("6b4a1c1e-92f4-4a55-8bb2-63fbd2f3a001")
MOMENT = datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC)
HEADS = (Head(7, b"\x01" * 32), Head(0, GENESIS), *[Head(3, b"\x02" * 32)] * 62)


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    """Give a new key."""
    new_key(tmp_path / "key.pem")
    return Signer.of(tmp_path / "key.pem")


def test_what_is_read_is_what_was_signed(signer: Signer) -> None:
    checkpoint = Checkpoint(STORE, MOMENT, HEADS)
    document = sign(checkpoint, signer)
    signed = read(document)
    assert signed.checkpoint == checkpoint
    assert signed.public_key == signer.public_key
    assert checkpoint.entries == 7 + 62 * 3
    check_trusted(signed, STORE, [signer.public_key])
    assert document == sign(checkpoint, signer), "it is canonical"
    # Neither blanks nor the order of members mean anything.
    assert read(orjson.dumps(orjson.loads(document), option=orjson.OPT_INDENT_2)) == signed


ALTERATIONS: dict[str, Callable[[dict[str, Any]], object]] = {
    "head": lambda doc: doc["checkpoint"]["heads"][0].update(hash="03" * 32),
    "number": lambda doc: (
        doc["checkpoint"]["heads"][2].update(slot_seq=4)
        or doc["checkpoint"].update(entries=doc["checkpoint"]["entries"] + 1)
    ),
    "store": lambda doc: doc["checkpoint"].update(environment_id=str(OTHER_STORE)),
    "time": lambda doc: doc["checkpoint"].update(created_at="2027-01-31T12:00:00.000001Z"),
    "predecessor": lambda doc: doc["checkpoint"].update(previous="00" * 32),
    "signature": lambda doc: doc.update(signature="00" * 64),
    "short signature": lambda doc: doc.update(signature="00"),
    "another key": lambda doc: doc.update(public_key="00" * 32),
    "no key": lambda doc: doc.update(public_key=""),
}


@pytest.mark.parametrize("alteration", ALTERATIONS.values(), ids=list(ALTERATIONS))
def test_altered_checkpoint_proves_nothing(
    signer: Signer, alteration: Callable[[dict[str, Any]], object]
) -> None:
    """Seen to fail: without the look at the signature, all of them are read."""
    document = orjson.loads(sign(Checkpoint(STORE, MOMENT, HEADS), signer))
    alteration(document)
    with pytest.raises(BadCheckpoint) as refused:
        read(orjson.dumps(document))
    assert refused.value.kind == "bad_signature"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"{}",
        b'{"checkpoint": null, "public_key": "", "signature": ""}',
        b"\xff",
    ],
)
def test_anything_else_is_no_checkpoint(document: bytes) -> None:
    with pytest.raises(BadCheckpoint) as refused:
        read(document)
    assert refused.value.kind == "unreadable"


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"more": "than we know"},
        {"entries": 1},
        {"heads": []},
        {"heads": [{"slot": 0, "slot_seq": -1, "hash": "00" * 32}] * 64},
        {"heads": [{"slot": 0, "slot_seq": "1", "hash": "00" * 32}] * 64},
        {"previous": 1},
        {"created_at": "2026-01-31 12:00"},
        {"environment_id": "x"},
    ],
    ids=str,
)
def test_checkpoint_of_another_format_is_not_half_understood(
    signer: Signer, change: dict[str, object]
) -> None:
    document = orjson.loads(sign(Checkpoint(STORE, MOMENT, HEADS), signer))
    document["checkpoint"] |= change
    with pytest.raises(BadCheckpoint) as refused:
        read(orjson.dumps(document))
    assert refused.value.kind == "unreadable"


def test_checkpoint_that_a_forger_signed_himself_is_not_from_the_trusted_key(
    signer: Signer, tmp_path: Path
) -> None:
    new_key(tmp_path / "forger.pem")
    forged = read(sign(Checkpoint(STORE, MOMENT, HEADS), Signer.of(tmp_path / "forger.pem")))
    check_trusted(forged, STORE)
    with pytest.raises(BadCheckpoint) as refused:
        check_trusted(forged, STORE, [signer.public_key])
    assert refused.value.kind == "wrong_key"
    check_trusted(forged, STORE, [signer.public_key, forged.public_key])


def test_checkpoint_of_another_store_proves_nothing_about_this_one(signer: Signer) -> None:
    signed = read(sign(Checkpoint(OTHER_STORE, MOMENT, HEADS), signer))
    with pytest.raises(BadCheckpoint) as refused:
        check_trusted(signed, STORE, [signer.public_key])
    assert refused.value.kind == "foreign_environment"


def test_a_checkpoint_that_was_taken_out_of_the_middle_is_missed(signer: Signer) -> None:
    chain: dict[str, SignedCheckpoint] = {}
    previous = None
    for day in range(4):
        moment = MOMENT + timedelta(days=day)
        chain[str(day)] = read(sign(Checkpoint(STORE, moment, HEADS, previous), signer))
        previous = chain[str(day)].sha256
    assert newest(list(chain.values())) == chain["3"]
    assert unlinked(chain) == []
    del chain["0"]  # old ones may be moved away
    assert unlinked(chain) == []
    del chain["2"]
    assert unlinked(chain) == ["3"]


def test_private_key_is_its_owners_and_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    public = new_key(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (tmp_path / "public.pem").write_text(public)
    assert read_public_key(tmp_path / "public.pem") == Signer.of(file).public_key
    assert public_pem(Signer.of(file).public_key) == public
    before = file.read_bytes()
    with pytest.raises(FileExistsError):
        new_key(file)
    assert file.read_bytes() == before


def test_files_that_hold_no_such_key_are_named(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    public = new_key(file)
    (tmp_path / "public.pem").write_text(public)
    for load, wrong in (
        (Signer.of, tmp_path / "public.pem"),
        (Signer.of, tmp_path / "missing"),
        (read_public_key, file),
    ):
        with pytest.raises(BadKey, match=wrong.name):
            load(wrong)


def test_without_the_package_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(ExtraMissing, match=r"passbook\[evidence\]"):
        new_key(tmp_path / "key.pem")
