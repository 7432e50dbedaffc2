"""Commands on the wire: what a sender writes, and the one place that decides whether we understand.

Everything wrong is told apart here, before the domain sees it: `decode` returns either a
`CommandMessage` or a `BadCommand` with a code and a reason, and never raises for what a sender can
send.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

import orjson
from pydantic import ValidationError

from passbook.domain.commands import Command
from passbook.domain.errors import MalformedValue
from passbook.domain.text import clean_text
from passbook.messaging.cloudevents import JSON, PASSED_ON, SPECVERSION, Header
from passbook.messaging.command_shapes import COMMANDS, UUID_PATTERN
from passbook.messaging.repetitions import contradicted_headers, repeated_field

MALFORMED: Final = "malformed"
UNSUPPORTED_COMMAND: Final = "unsupported_command"
MAX_COMMAND_BYTES: Final = 64 * 1024
SCHEMA_VERSION: Final = 1

_VERSIONS: Final = (None, str(SCHEMA_VERSION).encode())
_UUID_TEXT: Final = re.compile(UUID_PATTERN[1:-1], re.ASCII | re.IGNORECASE)
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_REASON_LENGTH: Final = 300
_HEADER_LENGTH: Final = 200


MakeUUID = Callable[[str], UUID]


class CommandMessage(NamedTuple):
    """A command that was understood. `context` has those of `correlation_id`, `actor` and
    `traceparent` that the sender gave. `request_hash` is equal for equal content.
    """

    command_id: UUID
    command: Command
    request_hash: bytes
    context: dict[str, str]

    @property
    def account_id(self) -> UUID:
        """The account it is about."""
        return self.command.account_id


class BadCommand(NamedTuple):
    """A message that is no command. Without a `command_id` nobody can be told but the operator."""

    command_id: UUID | None
    account_id: UUID | None
    code: str
    reason: str
    request_hash: bytes
    context: dict[str, str]


class _Refused(Exception):
    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        self.reason = reason


def decode(
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[Header],
    make_uuid: MakeUUID = UUID,
) -> CommandMessage | BadCommand:
    """Return what a record of the command topic asks for, or why it cannot be understood.

    `make_uuid` makes the ids: a caller who decodes thousands a second may have a faster class.
    """
    found = dict(headers)
    try:
        if len(found) != len(headers):
            _refuse_contradictions(headers, found)
        command_id = _uuid_header(found.get("ce_id"), make_uuid)
        command, request_hash = _command(key, value, found, make_uuid)
        return CommandMessage(command_id, command, request_hash, _context(found))
    except _Refused as refused:
        return _bad_command(key, value, found, refused)


def _command(
    key: bytes | None, value: bytes | None, headers: dict[str, bytes], make_uuid: MakeUUID
) -> tuple[Command, bytes]:
    kind = headers.get("ce_type", b"")
    known = COMMANDS.get(kind)
    if known is None:
        raise _Refused(UNSUPPORTED_COMMAND, f"ce_type: no such command: {_shown(kind)}")
    version = headers.get("ce_schemaversion")
    if version not in _VERSIONS:
        raise _Refused(UNSUPPORTED_COMMAND, f"ce_schemaversion: unknown: {_shown(version)}")
    if headers.get("ce_specversion") != SPECVERSION[1]:
        raise _Refused(MALFORMED, "ce_specversion: must be 1.0")
    if value is None or len(value) > MAX_COMMAND_BYTES:
        size = "none" if value is None else f"{len(value)} bytes"
        raise _Refused(MALFORMED, f"value: {size}, must be 1 to {MAX_COMMAND_BYTES} bytes")
    validate, command_type = known
    try:
        fields = validate(value)
    except ValidationError as error:
        raise _Refused(MALFORMED, _describe(error)) from None
    if twice := repeated_field(value, len(fields)):
        raise _Refused(MALFORMED, f"{twice}: given twice")
    account = fields["account_id"]
    if key is None or key.decode("ascii", "replace") != account:
        raise _Refused(MALFORMED, f"key: {_shown(key)} is not the account_id {account}")
    if headers.get("ce_subject", key) != key:
        raise _Refused(
            MALFORMED, f"ce_subject: {_shown(headers['ce_subject'])} is not the account_id"
        )
    # Validated fields come in the order of their declaration, not of the sender's text.
    request_hash = _hash(kind, orjson.dumps(fields, default=str))
    fields["account_id"] = make_uuid(account)
    return command_type(**fields), request_hash


def _bad_command(
    key: bytes | None, value: bytes | None, headers: dict[str, bytes], refused: _Refused
) -> BadCommand:
    try:
        command_id = _uuid_header(headers.get("ce_id"))
    except _Refused:
        command_id = None
    try:
        account_id = _uuid_header(key)
    except _Refused:
        account_id = None
    try:
        context = _context(headers)
    except _Refused:
        context = {}
    raw = _hash(headers.get("ce_type") or b"", b"\x00", value or b"")
    reason = refused.reason[:_REASON_LENGTH]
    return BadCommand(command_id, account_id, refused.code, reason, raw, context)


def _refuse_contradictions(headers: Sequence[Header], found: dict[str, bytes]) -> None:
    """Raise when an attribute was given with two values, and take it out of `found`: neither is to
    be relied on, least of all for whom to answer.
    """
    if twice := contradicted_headers(headers, found):
        for name in twice:
            del found[name]
        raise _Refused(MALFORMED, f"{min(twice)}: given twice, with different values")


def _uuid_header(value: bytes | None, make_uuid: MakeUUID = UUID) -> UUID:
    text = "" if value is None else value.decode("ascii", "replace")
    if _UUID_TEXT.fullmatch(text) is None:
        raise _Refused(MALFORMED, f"ce_id: must be a UUID, not {_shown(value)}")
    return make_uuid(text)


def _context(headers: dict[str, bytes]) -> dict[str, str]:
    context = {}
    for name, header in PASSED_ON:
        raw = headers.get(header)
        if raw is None:
            continue
        try:
            text = clean_text(raw.decode())
        except (UnicodeDecodeError, MalformedValue) as error:
            if name == "traceparent":
                continue
            raise _Refused(MALFORMED, f"{header}: {_printable(str(error))}") from None
        # A broken trace is the tracer's problem, not the customer's (W3C Trace Context, 3.2.2).
        if name != "traceparent" or _TRACEPARENT.fullmatch(text):
            context[name] = text
    return context


def _describe(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    why = first["ctx"]["error"] if first["type"] == "value_error" else first["msg"]
    return _printable(f"{where or 'value'}: {why}")


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _shown(value: bytes | None) -> str:
    return "none" if value is None else ascii(value[:_HEADER_LENGTH].decode("utf-8", "replace"))


def _hash(*parts: bytes) -> bytes:
    return hashlib.blake2b(b"\x00".join(parts), digest_size=16).digest()


def encode(  # noqa: PLR0913 - a sender may say this much
    command: Command,
    *,
    command_id: UUID,
    source: str,
    time: str,
    correlation_id: str | None = None,
    actor: str | None = None,
    traceparent: str | None = None,
) -> tuple[bytes, bytes, list[Header]]:
    """Return (key, value, headers) of the record that carries a command. `time` is RFC 3339."""
    key = str(command.account_id).encode()
    data = {
        name: str(value) if isinstance(value, Decimal | UUID) else value
        for name in type(command).__slots__
        if (value := getattr(command, name)) is not None
    }
    headers = [
        SPECVERSION,
        ("ce_id", str(command_id).encode()),
        ("ce_type", f"bank.{type(command).__name__}".encode()),
        ("ce_source", source.encode()),
        ("ce_subject", key),
        ("ce_time", time.encode()),
        JSON,
    ]
    given = {"correlation_id": correlation_id, "actor": actor, "traceparent": traceparent}
    headers += [(header, text.encode()) for name, header in PASSED_ON if (text := given[name])]
    return key, orjson.dumps(data), headers
