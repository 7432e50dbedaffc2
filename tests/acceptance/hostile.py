"""Messages that are no commands, as somebody careless or hostile would send them."""

import json
from collections.abc import Iterator
from typing import Final, NamedTuple
from uuid import uuid4

from tests.support.outsider import Header, Message, command

MALFORMED: Final = "malformed"
UNSUPPORTED: Final = "unsupported_command"

_DEEP: Final = 30_000
_DIGITS: Final = "1" + "0" * 400


class Attack(NamedTuple):
    """A message, and the code that its outcome has to have; None when it has no usable id."""

    name: str
    message: Message
    code: str | None


def attacks(account: str) -> Iterator[Attack]:
    """Yield every attack on an account that exists."""
    yield from _values(account)
    yield from _amounts(account)
    yield from _texts(account)
    yield from _keys(account)
    yield from _ids(account)
    yield from _headers(account)


def _values(account: str) -> Iterator[Attack]:
    right = {"account_id": account, "amount": "1.00"}
    quoted = account.encode()
    values: dict[str, bytes | None] = {
        "null value": None,
        "empty value": b"",
        "a tombstone of blanks": b"   ",
        "bytes that are no JSON": b"\x00\xff\xfe{not json",
        "half a document": json.dumps(right).encode()[:-5],
        "two documents": json.dumps(right).encode() * 2,
        "something behind the document": json.dumps(right).encode() + b"\x00",
        "a byte order mark": b"\xef\xbb\xbf" + json.dumps(right).encode(),
        "UTF-16": json.dumps(right).encode("utf-16"),
        "Latin-1": '{"account_id": "é"}'.encode("latin-1"),
        "single quotes": str(right).encode(),
        "a comment": b"/* 1 */" + json.dumps(right).encode(),
        "JSON null": b"null",
        "an array": json.dumps([right]).encode(),
        "a string": json.dumps("1.00").encode(),
        "a number": b"1",
        "NaN as a document": b"NaN",
        "deep nesting of arrays": b"[" * _DEEP + b"]" * _DEEP,
        "deep nesting in a field": b'{"amount":' * 5000 + b"1" + b"}" * 5000,
        "a number of a million digits": b'{"account_id":' + b"9" * 60_000 + b"}",
        "a field of a thousand names": json.dumps(
            right | {f"f{n}": n for n in range(1000)}
        ).encode(),
        "an unknown field": json.dumps(right | {"currency": "EUR"}).encode(),
        "a field whose name is NUL": json.dumps(right | {"\x00": 1}).encode(),
        "a field whose name is a surrogate": json.dumps(right | {"\ud800": 1}).encode(),
        "no account": json.dumps({"amount": "1.00"}).encode(),
        "no amount": json.dumps({"account_id": account}).encode(),
        "an account that is a number": json.dumps(right | {"account_id": 7}).encode(),
        "an account in braces": json.dumps(right | {"account_id": f"{{{account}}}"}).encode(),
        "an account in capitals": json.dumps(right | {"account_id": account.upper()}).encode(),
        "an account with a line feed": json.dumps(right | {"account_id": account + "\n"}).encode(),
        "an expected version that is text": json.dumps(right | {"expected_version": "1"}).encode(),
        "an expected version that is true": json.dumps(right | {"expected_version": True}).encode(),
        "an expected version of 1.0": json.dumps(right | {"expected_version": 1.0}).encode(),
        "a negative expected version": json.dumps(right | {"expected_version": -1}).encode(),
        "an expected version of null": json.dumps(right | {"expected_version": None}).encode(),
        "an expected version of 2^63": json.dumps(right | {"expected_version": 2**63}).encode(),
        "a reference of null": json.dumps(right | {"reference": None}).encode(),
        "two amounts": b'{"account_id": "%s", "amount": "1.00", "amount": "9.00"}' % quoted,
        "an amount twice": b'{"account_id": "%s", "amount": "1.00", "amount": "1.00"}' % quoted,
        "an amount escaped": b'{"account_id": "%s", "amount": "1", "\\u0061mount": "9"}' % quoted,
        "2 MB of blanks": json.dumps(right).encode() + b" " * 2_000_000,
        "2 MB of bytes": b"\x00" * 2_000_000,
    }
    for name, value in values.items():
        yield Attack(name, _deposit(account)._replace(value=value), MALFORMED)


def _amounts(account: str) -> Iterator[Attack]:
    amounts: list[object] = [
        "1e3", "1E+1000000", "NaN", "sNaN", "Infinity", "-Infinity", "\uff11\uff12", "\u0661\u0662", "0.005", "-0.00",
        "-1.00", "+1.00", " 1.00", "1.00 ", "1.00\n", "1.00\x00", "", ".", "1.", ".5", "01.00",
        "1,00", "1_000", "0x10", "1.000", _DIGITS, "99999999999999.99", "\uff11.00", "1.0\uff10", "\u00bd",
        "null", 1, 1.5, 1e400, True, None, ["1.00"], {"value": "1.00"},
    ]  # fmt: skip
    for amount in amounts:
        for kind in ("DepositMoney", "WithdrawMoney"):
            message = command(kind, account, amount=amount)
            yield Attack(f"{kind} of {str(amount)[:20]!a}", message, MALFORMED)


def _texts(account: str) -> Iterator[Attack]:
    texts: list[object] = [
        "\x00", "a\x00b", "\ud800", "\udfff\ud800", "a\nb", "\x7f", "\x9f", "\x1b[31m",
        "x" * 201, "e\u0301" * 201, "\U0001f600" * 201, 7, None, [], {},
    ]  # fmt: skip
    for number, text in enumerate(texts):
        messages = {
            "owner": command("OpenAccount", account, owner_name=text, initial_deposit="500.00"),
            "reference": command("DepositMoney", account, amount="1.00", reference=text),
            "reason": command("FreezeAccount", account, reason=text),
        }
        for name, message in messages.items():
            yield Attack(f"{name} {number}: {str(text)[:10]!a}", message, MALFORMED)
    nobody = command("OpenAccount", account, owner_name="", initial_deposit="500.00")
    yield Attack("an owner without a name", nobody, MALFORMED)
    # Raw bytes: json.dumps would never write them.
    for name, text in (("overlong NUL", b"\xc0\x80"), ("CESU-8", b"\xed\xa0\x80"), ("NUL", b"\0")):
        value = b'{"account_id": "%s", "reason": "%s"}' % (account.encode(), text)
        message = command("FreezeAccount", account)._replace(value=value)
        yield Attack(f"reason in raw bytes: {name}", message, MALFORMED)


def _keys(account: str) -> Iterator[Attack]:
    keys: dict[str, bytes | None] = {
        "no key": None,
        "an empty key": b"",
        "the key of another account": str(uuid4()).encode(),
        "a key in capitals": account.upper().encode(),
        "a key in quotes": f'"{account}"'.encode(),
        "a key with a blank": account.encode() + b" ",
        "a key of sixteen bytes": bytes.fromhex(account.replace("-", "")),
        "a key of a megabyte": b"k" * 1_000_000,
        "a key that is not UTF-8": b"\xff\xfe",
    }
    for name, key in keys.items():
        yield Attack(name, _deposit(account)._replace(key=key), MALFORMED)


def _ids(account: str) -> Iterator[Attack]:
    ids: dict[str, bytes | None] = {
        "an empty id": b"",
        "a null id": None,
        "an id that is no UUID": b"4711",
        "an id in braces": f"{{{uuid4()}}}".encode(),
        "an id without hyphens": uuid4().hex.encode(),
        "an id as an URN": uuid4().urn.encode(),
        "an id with a line feed": f"{uuid4()}\n".encode(),
        "an id of sixteen bytes": uuid4().bytes,
        "an id in fullwidth digits": "\uff10".encode() * 32,
        "an id of a hundred kilobytes": b"f" * 100_000,
        "an id that is not UTF-8": b"\xff" * 36,
    }
    for name, value in ids.items():
        yield Attack(name, _with(_deposit(account), "ce_id", value), None)
    twice = _deposit(account)
    twice = twice._replace(headers=[*twice.headers, ("ce_id", str(uuid4()).encode())])
    yield Attack("two ids", twice, None)
    yield Attack("no id", _without(_deposit(account), "ce_id"), None)
    yield Attack("no headers", _deposit(account)._replace(headers=[]), None)
    yield Attack("nothing at all", Message(None, None, []), None)


def _headers(account: str) -> Iterator[Attack]:
    for name, value in {
        "no such command": b"bank.TransferMoney",
        "a command in lower case": b"bank.depositmoney",
        "a command without prefix": b"DepositMoney",
        "an event": b"bank.MoneyDeposited",
        "an empty type": b"",
        "a null type": None,
        "a type that is not UTF-8": b"bank.\xff\xfe",
        "a type of a hundred kilobytes": b"x" * 100_000,
    }.items():
        yield Attack(name, _with(_deposit(account), "ce_type", value), UNSUPPORTED)
    yield Attack("no type", _without(_deposit(account), "ce_type"), UNSUPPORTED)
    for name, value in {
        "an unknown version": b"2",
        "version 0": b"0",
        "version 1.0": b"1.0",
        "version 01": b"01",
        "an empty version": b"",
        "a version that is not UTF-8": b"\xff",
    }.items():
        message = _with(_deposit(account), "ce_schemaversion", value)
        yield Attack(name, message, UNSUPPORTED)
    for header, values in {
        "ce_specversion": (b"0.3", b"2.0", b"", None, b"\xff"),
        "ce_subject": (str(uuid4()).encode(), b"", b"\xff"),
        "ce_actor": (b"\xff\xfe", b"a\x00b", b"a\nb", b"x" * 201, b"\xed\xa0\x80"),
        "ce_correlationid": (b"\xff\xfe", b"a\x00b", b"x" * 100_000),
    }.items():
        for value in values:
            shown = value and value[:10]
            yield Attack(f"{header} {shown!a}", _with(_deposit(account), header, value), MALFORMED)
    for header, value in {
        "ce_type": b"bank.DepositMoney",
        "ce_subject": account.encode(),
        "ce_actor": b"Bob",
        "ce_schemaversion": b"1",
    }.items():
        first = (header, b"another")
        message = _with(_deposit(account), header, value)
        message = message._replace(headers=[first, *message.headers])
        yield Attack(f"two of {header}", message, MALFORMED)
    yield Attack("no specversion", _without(_deposit(account), "ce_specversion"), MALFORMED)


def _deposit(account: str) -> Message:
    return command("DepositMoney", account, amount="1000.00")


def _with(message: Message, name: str, value: bytes | None) -> Message:
    return message._replace(headers=[*_without(message, name).headers, (name, value)])


def _without(message: Message, name: str) -> Message:
    kept: list[Header] = [header for header in message.headers if header[0] != name]
    return message._replace(headers=kept)
