"""Invariant 8: bad input is refused with a code and a reason, and `decode` never raises.

Seen to fail: with pydantic's own `Decimal` for amounts (`1e3`, ` 1 ` and JSON numbers pass), with
`extra="ignore"`, without the size limit, and, before it was mended, with a header that is null.
"""

from typing import Any
from uuid import UUID

import pytest

from passbook.messaging.commands import MAX_COMMAND_BYTES, BadCommand, CommandMessage, decode
from tests.support.messages import ACCOUNT, COMMAND, DATA, Message, message


def refused(found: CommandMessage | BadCommand) -> BadCommand:
    assert isinstance(found, BadCommand), found
    assert found.reason.isprintable()
    assert 0 < len(found.reason) <= 300
    return found


def _why(record: Message) -> tuple[str, str]:
    found = refused(decode(*record))
    assert (found.command_id, found.account_id) == (UUID(COMMAND), UUID(ACCOUNT))
    return found.code, found.reason


@pytest.mark.parametrize(
    "amount",
    [
        *("", " ", " 20", "20 ", "2 0", "20\n", "+20", "-20", "-0.00", "1e3", "1E400", "0.005"),
        *("NaN", "Infinity", "\uff11\uff12", "\u0661", "\u00bd", "1_000", "1,50", "0x10", ".5"),
        *("5.", "007", "10000000000000", "1" + "0" * 400, "0." + "9" * 400, "20.00\u0000"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("OpenAccount", "initial_deposit"),
        ("DepositMoney", "amount"),
        ("WithdrawMoney", "amount"),
    ],
)
def test_invariant_8_an_amount_that_is_none_is_malformed(
    kind: str, field: str, amount: str
) -> None:
    code, reason = _why(message(kind, data={field: amount}))
    assert code == "malformed"
    assert reason.startswith(f"{field}: not an amount: ")


@pytest.mark.parametrize("amount", [20, 20.5, 1e3, 0, -1, True, [], {}, ["20.00"]])
def test_an_amount_is_a_json_string(amount: object) -> None:
    assert _why(message(data={"amount": amount})) == ("malformed", "amount: must be a JSON string")


@pytest.mark.parametrize(
    ("kind", "field", "text", "reason"),
    [
        ("OpenAccount", "owner_name", "", "a name has at least one character"),
        ("OpenAccount", "owner_name", "A\0B", "has the control character or surrogate U+0000"),
        ("OpenAccount", "owner_name", "A\nB", "has the control character or surrogate U+000A"),
        ("OpenAccount", "owner_name", "x" * 141, "longer than 140 characters"),
        ("OpenAccount", "owner_name", 7, "must be a JSON string"),
        ("DepositMoney", "reference", "x" * 201, "longer than 200 characters"),
        ("DepositMoney", "reference", "\x1b[31m", "has the control character or surrogate U+001B"),
        ("WithdrawMoney", "reference", ["x"], "must be a JSON string"),
        ("FreezeAccount", "reason", "\x7f", "has the control character or surrogate U+007F"),
        ("FreezeAccount", "reason", False, "must be a JSON string"),
    ],
)
def test_a_text_that_cannot_be_stored_is_malformed(
    kind: str, field: str, text: object, reason: str
) -> None:
    assert _why(message(kind, data={field: text})) == ("malformed", f"{field}: {reason}")


@pytest.mark.parametrize("escape", [rb"\ud800", rb"\udc00", rb"\udc00\ud800"])
def test_a_lone_surrogate_is_malformed(escape: bytes) -> None:
    value = b'{"account_id":"%b","owner_name":"A%b","initial_deposit":"500.00"}' % (
        ACCOUNT.encode(),
        escape,
    )
    code, reason = _why(message("OpenAccount", value=value))
    assert code == "malformed"
    assert reason.startswith("value: Invalid JSON")


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b" ", b"nonsense", b"{", b'{"amount"', b"\xff\xfe", b"\x00", b"'single'"),
        *(b'{"account_id":}', b"{}{}", b"[" * 5000, b'{"a":' * 5000),
    ],
)
def test_bytes_that_are_no_json_are_malformed(value: bytes) -> None:
    code, reason = _why(message(value=value))
    assert code == "malformed"
    assert reason.startswith("value: Invalid JSON")


@pytest.mark.parametrize("value", [b"null", b"[]", b'"text"', b"1", b"true", b"NaN"])
def test_json_that_is_no_object_is_malformed(value: bytes) -> None:
    assert _why(message(value=value)) == ("malformed", "value: Input should be an object")


@pytest.mark.parametrize("kind", DATA)
def test_an_unknown_field_is_malformed(kind: str) -> None:
    assert _why(message(kind, data={"note": "x"})) == (
        "malformed",
        "note: Extra inputs are not permitted",
    )


def test_an_unknown_field_of_any_name_is_shown_safely() -> None:
    code, reason = _why(message(data={"\0\n\u202e" + "x" * 1000: 1}))
    assert code == "malformed"
    assert "\0" not in reason


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (kind, field)
        for kind, fields in DATA.items()
        for field in fields
        if field not in ("account_id", "reference")
    ],
)
def test_a_missing_field_is_malformed(kind: str, field: str) -> None:
    assert _why(message(kind, data={field: None})) == ("malformed", f"{field}: Field required")


@pytest.mark.parametrize("version", ["1", 1.5, -1, 2**31, True, 10**400, [], 1.0])
def test_an_expected_version_that_is_none_is_malformed(version: Any) -> None:
    code, reason = _why(message(data={"expected_version": version}))
    assert code == "malformed"
    assert reason.startswith("expected_version: ")


@pytest.mark.parametrize(
    "account", ["", "x", 7, ACCOUNT.upper(), "{" + ACCOUNT + "}", ACCOUNT[:-1]]
)
def test_an_account_id_that_is_none_is_malformed(account: object) -> None:
    code, reason = _why(message(data={"account_id": account}, key=ACCOUNT.encode()))
    assert code == "malformed"
    assert reason.startswith("account_id: ")


@pytest.mark.parametrize(
    "kind", ["", "OpenAcount", "openaccount", "AccountOpened", "TransferMoney", "\0"]
)
def test_an_unknown_command_is_unsupported(kind: str) -> None:
    code, reason = _why(message(kind))
    assert code == "unsupported_command"
    assert reason.startswith("ce_type: no such command: ")


def test_a_command_without_a_type_is_unsupported() -> None:
    assert _why(message(ce_type=None))[0] == "unsupported_command"
    assert _why(message(ce_type="DepositMoney"))[0] == "unsupported_command"


@pytest.mark.parametrize("version", ["", "0", "2", "1.0", "one", b"\xff"])
def test_an_unknown_schema_version_is_unsupported(version: str | bytes) -> None:
    code, reason = _why(message(ce_schemaversion=version))
    assert code == "unsupported_command"
    assert reason.startswith("ce_schemaversion: unknown: ")


@pytest.mark.parametrize("version", [None, "", "0.3", "2.0"])
def test_another_version_of_cloudevents_is_malformed(version: str | None) -> None:
    assert _why(message(ce_specversion=version)) == ("malformed", "ce_specversion: must be 1.0")


_OTHER = "0b5e8a9c-6f1d-4a34-9a57-0d5f0f6f3a12"


@pytest.mark.parametrize(
    "key", [_OTHER.encode(), ACCOUNT.upper().encode(), b"", b"\xff", b"x" * 9999]
)
def test_a_key_that_differs_from_the_account_is_malformed(key: bytes) -> None:
    found = refused(decode(*message(key=key)))
    assert found.code == "malformed"
    assert found.reason.startswith("key: ")
    assert found.command_id == UUID(COMMAND)


def test_a_command_without_a_key_is_malformed_and_of_no_account() -> None:
    found = refused(decode(None, *message()[1:]))
    assert found.account_id is None
    assert found.reason == f"key: none is not the account_id {ACCOUNT}"


def test_a_subject_that_differs_from_the_account_is_malformed() -> None:
    code, reason = _why(message(ce_subject=_OTHER))
    assert code == "malformed"
    assert reason.startswith("ce_subject: ")


@pytest.mark.parametrize(
    "command_id",
    [
        None,
        "",
        "x",
        "7",
        COMMAND[:-1],
        COMMAND + "0",
        f"{{{COMMAND}}}",
        b"\xff" * 36,
        COMMAND + "\n",
    ],
)
def test_a_command_id_that_is_none_leaves_nobody_to_answer(command_id: str | bytes | None) -> None:
    found = refused(decode(*message(ce_id=command_id)))
    assert found.command_id is None
    assert found.code == "malformed"
    assert found.reason.startswith("ce_id: must be a UUID, not ")


@pytest.mark.parametrize("size", [MAX_COMMAND_BYTES + 1, 2 * 1024 * 1024])
def test_a_message_that_is_too_large_is_not_even_parsed(size: int) -> None:
    code, reason = _why(message(value=b" " * size))
    assert code == "malformed"
    assert reason == f"value: {size} bytes, must be 1 to {MAX_COMMAND_BYTES} bytes"


def test_a_tombstone_is_malformed() -> None:
    key, _, headers = message()
    found = refused(decode(key, None, headers))
    assert found.reason.startswith("value: none")


@pytest.mark.parametrize("text", ["a\0b", "x" * 201, b"\xff"])
def test_what_cannot_be_passed_on_is_malformed(text: str | bytes) -> None:
    code, reason = _why(message(ce_correlationid=text))
    assert (code, reason[:18]) == ("malformed", "ce_correlationid: ")
    code, reason = _why(message(ce_actor=text))
    assert (code, reason[:10]) == ("malformed", "ce_actor: ")


@pytest.mark.parametrize("header", [name for name, _ in message().headers])
def test_a_header_that_is_null_is_no_reason_to_stop(header: str) -> None:
    key, value, headers = message()
    nulled: list[Any] = [(name, None if name == header else text) for name, text in headers]
    found = decode(key, value, nulled)
    if header in ("ce_source", "ce_time", "content-type"):
        assert isinstance(found, CommandMessage)
    else:
        assert refused(found)


def test_equal_bad_messages_have_equal_hashes_and_others_others() -> None:
    first, again, other = (refused(decode(*message(value=v))) for v in (b"a", b"a", b"b"))
    assert first.request_hash == again.request_hash != other.request_hash
    assert len(first.request_hash) == 16
    kind = refused(decode(*message("WithdrawMoney", value=b"a")))
    assert kind.request_hash != first.request_hash
