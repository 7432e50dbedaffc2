"""Checkpoints: the heads of all chains at a moment, signed, to be kept where nobody who can write to
the databases can reach them.

The chains show any change but two: a tail that is gone from both sides together with the positions,
and a suffix that was written anew on both sides with hashes that fit. A head that was signed before
shows these too. A checkpoint is a JSON document of some kilobytes; what is signed is its member
`checkpoint` in canonical form: keys sorted, no blanks, UTF-8.

Kinds of checkpoints that prove nothing:

    unreadable           it is no checkpoint, or of a format this code does not know
    bad_signature        it was altered, or signed with another key than it names
    wrong_key            it names another key than those that are trusted
    foreign_environment  it is about another event store
    link_missing         the checkpoint before it is not among those of its directory
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import orjson

from passbook.domain.slots import SLOT_COUNT
from passbook.messaging.cloudevents import format_time
from services.audit_projector.chain import GENESIS
from services.audit_projector.errors import BadCheckpoint
from services.audit_projector.signatures import Signer, is_signed

_FORMAT: Final = 1
# What is signed can be nothing else than this, whatever else the key is used for.
_PURPOSE: Final = b"passbook audit checkpoint\n"


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry of a slot. Number 0, of an empty slot, has the hash of nothing."""

    slot_seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is signed. `heads` are those of slots 0 to 63; `previous` is the SHA-256 of the document
    before, in hexadecimal.
    """

    environment_id: UUID
    created_at: datetime
    heads: tuple[Head, ...]
    previous: str | None = None

    @property
    def entries(self) -> int:
        """How many entries the log had."""
        return sum(head.slot_seq for head in self.heads)

    def content(self) -> dict[str, object]:
        """Return the member `checkpoint` of the document."""
        return {
            "format": _FORMAT,
            "environment_id": str(self.environment_id),
            "created_at": format_time(self.created_at),
            "entries": self.entries,
            "heads": [
                {"slot": slot, "slot_seq": head.slot_seq, "hash": head.hash.hex()}
                for slot, head in enumerate(self.heads)
            ],
            "previous": self.previous,
        }


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint as it is kept, with the SHA-256 of its document."""

    checkpoint: Checkpoint
    public_key: bytes
    sha256: str


def sign(checkpoint: Checkpoint, signer: Signer) -> bytes:
    """Return the document: canonical JSON, one line."""
    content = checkpoint.content()
    document = {
        "checkpoint": content,
        "public_key": signer.public_key.hex(),
        "signature": signer.sign(_PURPOSE + _canonical(content)).hex(),
    }
    return _canonical(document) + b"\n"


def read(document: bytes) -> SignedCheckpoint:
    """Return a checkpoint whose signature is that of the key it names.

    Raises:
        BadCheckpoint: `unreadable`, `bad_signature`.
        ExtraMissing: install `passbook[evidence]`.
    """
    try:
        members = orjson.loads(document)
        content = members["checkpoint"]
        checkpoint = _parsed(content)
        public_key = bytes.fromhex(members["public_key"])
        signature = bytes.fromhex(members["signature"])
        # Also a member that this code does not know is covered by the signature, and refused.
        if checkpoint.content() != content:
            raise ValueError("it says more, or other things, than a checkpoint does")  # noqa: TRY301
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadCheckpoint("unreadable", f"no checkpoint of format {_FORMAT}: {error}") from error
    if not is_signed(_PURPOSE + _canonical(content), signature, public_key):
        raise BadCheckpoint("bad_signature", f"not signed by the key {public_key.hex()}")
    return SignedCheckpoint(checkpoint, public_key, hashlib.sha256(_canonical(members)).hexdigest())


def check_trusted(
    signed: SignedCheckpoint, environment_id: UUID, trusted: Collection[bytes] = ()
) -> None:
    """Return if a checkpoint is about this event store, and from a trusted key if there are any.

    Raises:
        BadCheckpoint: `foreign_environment`, `wrong_key`.
    """
    if trusted and signed.public_key not in trusted:
        keys = " and ".join(sorted(key.hex() for key in trusted))
        raise BadCheckpoint("wrong_key", f"signed by {signed.public_key.hex()}, trusted is {keys}")
    found = signed.checkpoint.environment_id
    if found != environment_id:
        detail = f"it is about event store {found}, this one is {environment_id}"
        raise BadCheckpoint("foreign_environment", detail)


def unlinked(checkpoints: Mapping[str, SignedCheckpoint]) -> list[str]:
    """Return the names of checkpoints whose predecessor is not there, but for the oldest: those
    before it may have been moved away in order.
    """
    known = {signed.sha256 for signed in checkpoints.values()}
    alone = [
        (signed.checkpoint.created_at, name)
        for name, signed in checkpoints.items()
        if signed.checkpoint.previous not in known
    ]
    return [name for _, name in sorted(alone)[1:]]


def newest(checkpoints: Sequence[SignedCheckpoint]) -> SignedCheckpoint | None:
    """Return the newest checkpoint, None when there is none."""
    return max(checkpoints, key=lambda signed: signed.checkpoint.created_at, default=None)


def _parsed(content: Mapping[str, Any]) -> Checkpoint:
    heads = tuple(Head(head["slot_seq"], bytes.fromhex(head["hash"])) for head in content["heads"])
    if len(heads) != SLOT_COUNT or any(
        head.slot_seq < 0 or len(head.hash) != len(GENESIS) for head in heads
    ):
        message = "heads"
        raise ValueError(message)
    previous = content["previous"]
    return Checkpoint(
        UUID(content["environment_id"]),
        datetime.fromisoformat(content["created_at"]).astimezone(UTC),
        heads,
        None if previous is None else bytes.fromhex(previous).hex(),
    )


def _canonical(document: object) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
