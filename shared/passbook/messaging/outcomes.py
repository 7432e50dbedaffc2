"""Outcomes on the wire: the answer to every command that has a usable id."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson

from passbook.messaging.cloudevents import JSON, PASSED_ON, SOURCE, SPECVERSION, Header, format_time

CONFLICT: Final = "idempotency_conflict"
"""The code of the answer to a command whose id was used before, with other content."""
CONFLICT_MESSAGE: Final = "This command id was used before, with other content"

_NAMESPACE: Final = UUID("5f1ad1d3-6a3f-5a7e-9c39-0b6f5c1d2e4a").bytes
# The two top bits of this digit say "RFC 9562".
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_ACCEPTED: Final = ("ce_type", b"bank.CommandAccepted")
_REJECTED: Final = ("ce_type", b"bank.CommandRejected")


def outcome_id(command_id: UUID, variant: str = "") -> str:
    """Return the id of a command's outcome: always the same for the same command.

    `variant` tells an answer that is not *the* outcome from it: a conflict over the id.
    """
    # SHA-1 is what UUIDv5 is made of (RFC 9562, 5.5); nothing here is secret.
    digest = hashlib.sha1(_NAMESPACE + command_id.bytes + variant.encode()).hexdigest()  # noqa: S324
    return (
        f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-"
        f"{_VARIANT[digest[16]]}{digest[17:20]}-{digest[20:32]}"
    )


def document(  # noqa: PLR0913 - the fields of an outcome
    command_id: UUID,
    account_id: UUID | None,
    version: int,
    event_ids: tuple[UUID, ...],
    error_code: str | None,
    error_message: str | None,
) -> dict[str, object]:
    """Return the outcome as it is published and shown."""
    return {
        "command_id": str(command_id),
        "account_id": None if account_id is None else str(account_id),
        "outcome": "accepted" if error_code is None else "rejected",
        "version": version,
        "events": [str(event_id) for event_id in event_ids],
        "error": None if error_code is None else {"code": error_code, "message": error_message},
    }


def encode(
    outcome: Mapping[str, object],
    *,
    ce_id: str,
    decided_at: bytes,
    request_hash: bytes,
    context: Mapping[str, str],
) -> tuple[bytes | None, bytes, list[Header]]:
    """Return (key, value, headers) of the record that carries an outcome `document`.

    `decided_at` is RFC 3339; `request_hash` identifies the content that was decided, for a sender
    whose command id somebody else uses too; `context` is what the command's sender asked to be passed on.
    """
    account = outcome["account_id"]
    key = account.encode() if isinstance(account, str) else None
    headers = [
        SPECVERSION,
        ("ce_id", ce_id.encode()),
        _REJECTED if outcome["error"] else _ACCEPTED,
        SOURCE,
        ("ce_time", decided_at),
        JSON,
        ("ce_version", str(outcome["version"]).encode()),
        ("ce_commandid", str(outcome["command_id"]).encode()),
        ("ce_requesthash", request_hash.hex().encode()),
    ]
    if key is not None:
        headers.append(("ce_subject", key))
    if context:
        headers += [
            (header, context[name].encode()) for name, header in PASSED_ON if name in context
        ]
    return key, orjson.dumps(outcome), headers


def format_decided_at(moment: datetime) -> bytes:
    """Return a decision time as the header wants it."""
    return format_time(moment).encode()
