"""The story from outside: a subscriber over Kafka and a client over HTTP, without any database."""

import asyncio
import json
from contextlib import closing
from decimal import Decimal
from http import HTTPStatus
from http.client import HTTPConnection
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from rich.text import Text

from passbook.cli.demo.asking import Cast
from passbook.cli.demo.report import Report
from passbook.client import Subscription
from passbook.domain.account import BankAccount
from passbook.domain.events import AccountEvent

_BOUND_S: Final = 10.0
_ALICE: Final = "650.00"
_ALICE_VERSION: Final = 5
_TOO_MUCH: Final = {"amount": "10000.00", "reference": "a yacht"}
_JSON: Final = {"Content-Type": "application/json"}


class _Answer(NamedTuple):
    status: int
    document: dict[str, Any]
    etag: str


class Outside:
    """Sees the accounts of the story as other people's programs do."""

    def __init__(
        self, http_url: str | None, events: Subscription, report: Report, cast: Cast
    ) -> None:
        """Ask at `http_url`, None where no service answers; `events` began before the story did."""
        self._http_url = http_url
        self._events = events
        self._report = report
        self._cast = cast

    async def play(self) -> None:
        """Check what a subscriber got, and what is answered over HTTP."""
        self._report.chapter(
            "From outside",
            "A subscriber needs Kafka only, a web client only a URL. Each knows which version of the "
            "account it sees.",
        )
        await self._subscribed()
        if self._http_url is None:
            self._report.check("over HTTP", "no query-api runs", ok=False)
            return
        if (await _ask(self._http_url, "GET", "/v1/accounts")).status == HTTPStatus.UNAUTHORIZED:
            self._report.show(Text("The query API asks for tokens here; this story has none."))
            return
        await self._read(self._http_url)
        await self._refused(self._http_url)

    async def _subscribed(self) -> None:
        """Fold Alice's account from the events as they come: typed, in order, and once."""
        told: list[AccountEvent] = []
        async with asyncio.timeout(_BOUND_S):
            async for received in self._events:
                await received.ack()
                if received.account_id == self._cast.alice:
                    told.append(received.event)
                if len(told) == _ALICE_VERSION:
                    break
        account = BankAccount.replay(self._cast.alice, told)
        self._report.check(
            "a subscriber's Alice",
            f"{account.balance} after {account.version} events, each once and in order",
            ok=[event.version for event in told] == [1, 2, 3, 4, 5]
            and account.balance == Decimal(_ALICE),
        )

    async def _read(self, http_url: str) -> None:
        path = f"/v1/accounts/{self._cast.alice}?min_version={_ALICE_VERSION}"
        first = await _ask(http_url, "GET", path)
        again = await _ask(http_url, "GET", path, {"If-None-Match": first.etag})
        balance = first.document.get("balance")
        self._report.check(
            "Alice over HTTP",
            f"{balance} as of {first.etag}; asked again with that: {again.status}, nothing new",
            ok=(balance, again.status) == (_ALICE, HTTPStatus.NOT_MODIFIED),
        )

    async def _refused(self, http_url: str) -> None:
        path = f"/v1/accounts/{self._cast.alice}/withdrawals"
        answer = await _ask(http_url, "POST", path, _JSON, json.dumps(_TOO_MUCH))
        code = answer.document.get("code")
        self._report.check(
            "a yacht, over HTTP",
            f"{answer.status} {code}: {answer.document.get('detail')}",
            ok=(answer.status, code) == (HTTPStatus.UNPROCESSABLE_ENTITY, "insufficient_funds"),
        )


async def _ask(url: str, method: str, path: str, *more: Any) -> _Answer:
    return await asyncio.to_thread(_answer, url, method, path, *more)


def _answer(
    url: str, method: str, path: str, headers: dict[str, str] | None = None, body: str | None = None
) -> _Answer:
    where = urlsplit(url)
    with closing(HTTPConnection(where.hostname or "", where.port, timeout=_BOUND_S)) as connection:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return _Answer(
            response.status, json.loads(response.read() or "{}"), response.headers.get("ETag", "")
        )
