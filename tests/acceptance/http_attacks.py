"""Requests that are none, or not what they seem, as somebody careless or hostile would send them."""

import json
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple
from uuid import uuid4

_DEEP: Final = 30_000
ACCOUNTS: Final = "/v1/accounts"


class Attack(NamedTuple):
    """Bytes for a connection of their own, and the statuses of which one may be answered; with none
    the connection may also just be closed.
    """

    name: str
    request: bytes
    statuses: frozenset[int]


def request(
    method: str,
    target: str | bytes,
    headers: Mapping[str, str | bytes],
    body: bytes = b"",
    *,
    version: bytes = b"1.1",
    length: str | None = None,
) -> bytes:
    """Return a request on the wire; `length` replaces the true `Content-Length`."""
    target = target if isinstance(target, bytes) else target.encode()
    lines = [b"%b %b HTTP/%b" % (method.encode(), target, version)]
    said: dict[str, str | bytes] = {"Host": "127.0.0.1", "Connection": "close", **headers}
    if body or length is not None:
        said = {"Content-Type": "application/json", **said}
        said["Content-Length"] = length if length is not None else str(len(body))
    for name, value in said.items():
        lines.append(
            name.encode() + b": " + (value if isinstance(value, bytes) else value.encode())
        )
    return b"\r\n".join([*lines, b"", body])


def attacks(account: str, token: Mapping[str, str]) -> Iterator[Attack]:
    """Yield every attack; `token` is the header of somebody who may do everything."""
    yield from _bad_http(token)
    yield from _bodies(account, token)
    yield from _headers(account, token)
    yield from _targets(account, token)


def _bad_http(token: Mapping[str, str]) -> Iterator[Attack]:
    good = request("GET", ACCOUNTS, token)
    post = {**token, "Content-Type": "application/json"}
    raw: dict[str, tuple[bytes, set[int]]] = {
        "no HTTP": (b"GARBAGE\r\n\r\n", {400}),
        "nothing but line feeds": (b"\r\n" * 20_000 + b"x\r\n\r\n", {400, 431}),
        "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200, {400}),
        "HTTP/2 by prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
        "HTTP/0.9": (b"GET /v1/accounts\r\n\r\n", {400, 401}),
        "HTTP/9.9": (b"GET /v1/accounts HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n", {400}),
        "zeros": (b"\x00" * 100_000, {400}),
        "no host": (b"GET /v1/accounts HTTP/1.1\r\nConnection: close\r\n\r\n", {400}),
        "two hosts": (good.replace(b"\r\n\r\n", b"\r\nHost: evil.example\r\n\r\n"), {400}),
        "a blank in a name": (good.replace(b"\r\n\r\n", b"\r\na b: c\r\n\r\n"), {400}),
        "a folded header": (good.replace(b"\r\n\r\n", b"\r\na: b\r\n c\r\n\r\n"), {400}),
        "NUL in a header": (good.replace(b"\r\n\r\n", b"\r\na: b\0c\r\n\r\n"), {400}),
        "a bare carriage return": (good.replace(b"\r\n\r\n", b"\r\na: b\rc: d\r\n\r\n"), {400}),
        "a header of 20 KB": (request("GET", ACCOUNTS, {**token, "x": "y" * 20_000}), {431}),
        "2,000 headers": (
            request("GET", ACCOUNTS, {**token, **{f"x-{n}": "y" * 10 for n in range(2_000)}}),
            {431},
        ),
        "a URL of 20 KB": (request("GET", f"{ACCOUNTS}?{'x' * 20_000}", token), {431}),
        "a URL of 2 MB": (request("GET", f"/{'x' * 2_000_000}", token), {431}),
        "a header of 2 MB": (request("GET", ACCOUNTS, {**token, "x": "y" * 2_000_000}), {431}),
        "two lengths": (
            request("POST", ACCOUNTS, post, b"{}").replace(
                b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 3"
            ),
            {400},
        ),
        "a length and chunks": (
            request("POST", ACCOUNTS, {**post, "Transfer-Encoding": "chunked"}, b"0\r\n\r\n"),
            {400},
        ),
        "chunks that are none": (
            request("POST", ACCOUNTS, {**post, "Transfer-Encoding": "chunked"}) + b"zz\r\n{}\r\n",
            {400},
        ),
        "a chunk of 2^64": (
            request("POST", ACCOUNTS, {**post, "Transfer-Encoding": "chunked"})
            + b"ffffffffffffffff0\r\n{}",
            {400, 413},
        ),
        "an unknown coding": (
            request("POST", ACCOUNTS, {**post, "Transfer-Encoding": "gzip"}) + b"{}",
            {400, 411, 501},
        ),
        "an upgrade": (
            request("GET", ACCOUNTS, {**token, "Connection": "Upgrade, close", "Upgrade": "h2c"}),
            {200},
        ),
        "a web socket": (
            request(
                "GET",
                "/v1/events",
                {
                    **token,
                    "Connection": "Upgrade, close",
                    "Upgrade": "websocket",
                    "Sec-WebSocket-Version": "13",
                    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                    "Last-Event-ID": "x",
                },
            ),
            {400},
        ),
    }  # fmt: skip
    for length in (
        "-1",
        "+2",
        "2x",
        "0x2",
        "1e1",
        " ",
        "99999999999999999999999",
        "2, 2",
        "\u0662",
    ):
        raw[f"a length of {length!a}"] = (
            request("POST", ACCOUNTS, post, b"{}", length=length),
            {400, 413},
        )
    raw["a length of 1 TB"] = request("POST", ACCOUNTS, post, b"{}", length=str(1 << 40)), {413}
    raw["a body of 100 KB"] = request("POST", ACCOUNTS, post, b" " * 100_000), {413}
    chunks = b"".join(b"%x\r\n%b\r\n" % (5_000, b" " * 5_000) for _ in range(20)) + b"0\r\n\r\n"
    raw["100 KB in chunks"] = (
        request("POST", ACCOUNTS, {**post, "Transfer-Encoding": "chunked"}) + chunks,
        {413},
    )
    for method in (
        "TRACE",
        "CONNECT",
        "PUT",
        "DELETE",
        "PATCH",
        "OPTIONS",
        "get",
        "BREW",
        "G" * 99,
    ):
        target = "example.com:443" if method == "CONNECT" else ACCOUNTS
        raw[f"the method {method[:9]}"] = request(method, target, token), {400, 404, 405}
    for name, (text, statuses) in raw.items():
        yield Attack(name, text, frozenset(statuses))


def _bodies(account: str, token: Mapping[str, str]) -> Iterator[Attack]:
    good = json.dumps({"owner_name": "Eve", "initial_deposit": "100"}).encode()
    bodies: dict[str, bytes] = {
        "no body": b"",
        "bytes": b"\x00\xff\xfe{not json",
        "half a document": good[:-5],
        "two documents": good * 2,
        "a byte order mark": b"\xef\xbb\xbf" + good,
        "UTF-16": good.decode().encode("utf-16"),
        "Latin-1": '{"owner_name": "é", "initial_deposit": "100"}'.encode("latin-1"),
        "an overlong NUL": b'{"owner_name": "\xc0\x80", "initial_deposit": "100"}',
        "a raw surrogate": b'{"owner_name": "\xed\xa0\x80", "initial_deposit": "100"}',
        "a lone surrogate": b'{"owner_name": "\\ud800", "initial_deposit": "100"}',
        "NUL": b'{"owner_name": "a\\u0000b", "initial_deposit": "100"}',
        "NaN": b"NaN",
        "an amount of NaN": b'{"owner_name": "Eve", "initial_deposit": NaN}',
        "an amount of Infinity": b'{"owner_name": "Eve", "initial_deposit": Infinity}',
        "a number": b'{"owner_name": "Eve", "initial_deposit": 100}',
        "1e999999": b'{"owner_name": "Eve", "initial_deposit": 1e999999}',
        "a string of 1E+1000000": b'{"owner_name": "Eve", "initial_deposit": "1E+1000000"}',
        "a number of 60,000 digits": b'{"initial_deposit": ' + b"9" * 60_000 + b"}",
        "deep arrays": b"[" * _DEEP + b"]" * _DEEP,
        "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 2_000,
        "a field twice": b'{"owner_name": "Eve", "initial_deposit": "100", "initial_deposit": "1"}',
        "a field twice, escaped": b'{"owner_name": "E", "initial_deposit": "1", "\\u006fwner_name": "F"}',
        "an unknown field": good[:-1] + b', "__proto__": {}}',
        "3,000 fields": json.dumps({f"f{n}": n for n in range(3_000)}).encode(),
        "null": b"null",
        "an array": b"[" + good + b"]",
        "a version of 2^31": good[:-1] + b', "expected_version": 2147483648}',
        "a version of 1e400": good[:-1] + b', "expected_version": 1e400}',
        "a version of true": good[:-1] + b', "expected_version": true}',
    }
    for name, body in bodies.items():
        text = request("POST", ACCOUNTS, token, body, length=str(len(body)))
        yield Attack(f"a body: {name}", text, frozenset({400}))
    deposit = f"{ACCOUNTS}/{account}/deposits"
    amount: object
    for amount in (
        "-1",
        "+1",
        "0.001",
        "1e3",
        " 1",
        "1 ",
        "\uff11",
        "",
        "01",
        "9" * 400,
        None,
        [],
        True,
    ):
        body = json.dumps({"amount": amount}).encode()
        yield Attack(
            f"an amount of {str(amount)[:9]!a}",
            request("POST", deposit, token, body),
            frozenset({400}),
        )
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
        "json",
    ):
        text = request("POST", ACCOUNTS, {**token, "Content-Type": kind}, good)
        yield Attack(f"a body of the type {kind!r}", text, frozenset({415}))


def _headers(account: str, token: Mapping[str, str]) -> Iterator[Attack]:
    deposit = f"{ACCOUNTS}/{account}/deposits"
    body = b'{"amount": "0.01"}'
    wrong: dict[str, list[str | bytes]] = {
        "Idempotency-Key": [
            "", " ", "x", '"', '""', str(uuid4())[:-1], f"{uuid4()}, {uuid4()}", f"{{{uuid4()}}}",
            uuid4().hex, "\u0661" * 36, b"\xff\xfe", "0" * 10_000, f"urn:uuid:{uuid4()}",
        ],
        "If-Match": [
            "", "*", "v1", '"v-1"', '"v01"', '"v99999999999"', 'W/"v1"', '"v1", "v2"', '"v1',
            b'"\xff"', '"v2147483648"', '"' + "v" * 10_000 + '"',
        ],
    }  # fmt: skip
    for name, values in wrong.items():
        for value in values:
            text = request("POST", deposit, {**token, name: value}, body)
            yield Attack(f"{name}: {value[:12]!a}", text, frozenset({400}))
    for value in (
        "",
        ",",
        '"',
        '"v1',
        'W/""',
        ", ".join(['"v1"'] * 1_500),
        b"\xff\xfe",
        '"\\"',
        "\t",
    ):
        text = request("GET", f"{ACCOUNTS}/{account}", {**token, "If-None-Match": value})
        yield Attack(f"If-None-Match: {value[:12]!a}", text, frozenset({200, 304, 400}))
    for bearer in ("", "Bearer", "Bearer ", "Bearer a.b.c", "Bearer " + "a" * 9_000, "Basic eDp5",
                   b"Bearer \xff\xfe", "Bearer a.b.c, Bearer d.e.f", "bearer\tx"):  # fmt: skip
        text = request("GET", ACCOUNTS, {"Authorization": bearer})
        yield Attack(f"Authorization: {bearer[:16]!a}", text, frozenset({400, 401}))


def _targets(account: str, token: Mapping[str, str]) -> Iterator[Attack]:
    here = f"{ACCOUNTS}/{account}"
    paths = [
        f"{ACCOUNTS}/..%2f..%2fetc%2fpasswd", f"{ACCOUNTS}/%00", f"{here}%00", f"{ACCOUNTS}/%ff%fe",
        f"{ACCOUNTS}/%zz", f"{here}/..%2f..", "/../../etc/passwd", "//evil.example/v1/accounts",
        f"{here};x=1", f"{here}%2fevents", f"{here}/events/%2e%2e", f"{ACCOUNTS}/{account[:-1]}",
        f"{ACCOUNTS}/{{{account}}}", f"{ACCOUNTS}/{'0' * 5_000}", "/v1/commands/x", "/%", "/v1/%61ccounts/x",
        f"{ACCOUNTS}/\\..\\x", "/.git/config", f"{here}%0d%0aX: y", "*", "/v1/accounts/" + "%2e" * 3_000,
    ]  # fmt: skip
    for path in paths:
        yield Attack(f"the path {path[:40]}", request("GET", path, token), frozenset({400, 404}))
    yield Attack(
        "raw bytes in a path", request("GET", b"/v1/\xff\xfe\x80", token), frozenset({400, 404})
    )
    queries = [
        f"{ACCOUNTS}?limit={value}"
        for value in (
            "0",
            "-1",
            "1e3",
            "99999999999999999999",
            "NaN",
            "",
            "1%00",
            "\u0661",
            "0x1",
            "1.5",
            "1&limit=2",
        )
    ]
    queries += [
        f"{ACCOUNTS}?cursor={value}"
        for value in (
            "",
            "x",
            "%00",
            "%ff",
            "A" * 21,
            "A" * 5_000,
            "..%2f",
            "AAAAAAAAAAAAAAAAAAAAA*",
            "%F0%9F%98%80",
        )
    ]
    queries += [
        f"{here}?at={value}"
        for value in ("", "now", "9999-12-31T23:59:59Z", "2026-01-31", "2026-01-31T12:00:00", "2026-13-01T00:00:00Z",
                      "1", "%00", "2026-01-31T12:00:00+99:00", "\u0662\u0660\u0662\u0666-01-01T00:00:00Z",
"0000-01-01T00:00:00Z")
    ]  # fmt: skip
    queries += [
        f"{here}?{query}"
        for query in ("min_version=-1", "min_version=x", "min_version=1e400", "wait=-1", "wait=NaN", "wait=inf",
                      "wait=1e400", "version=0", "version=99999999999", "consistency=weak", "strong=1",
                      "at=2026-01-31T12:00:00Z&version=1", "%00=1", "=&=", "a" * 3_000)
    ]  # fmt: skip
    # Digits that are too many are cut off, as RFC 3339 allows.
    fine = request("GET", f"{here}?at=2026-01-31T12:00:00.1234567890123Z", token)
    yield Attack("a moment with many digits", fine, frozenset({404}))
    for query in queries:
        text = request("GET", query.encode(), token)
        yield Attack(f"the query {query.partition('?')[2][:40]!a}", text, frozenset({400}))
