"""Passwords are in the environment and in files, and nowhere else: a canary is looked for in all that
services and verbs say, in success and failure, in pages, and in every command line of the machine.
"""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

import httpx
import pytest

from passbook.cli.logins import OF_SERVICE, give_passwords
from passbook.embedded.ports import free_port
from passbook.migrations import ROLES
from tests.support.processes import ServiceProcess
from tests.support.program import Ended, Program
from tests.support.until import until
from tests.support.world import BALANCES, COMMAND_SERVICE, RELAY, World

pytestmark = pytest.mark.timeout(240)

_QUERY_API: Final = "query-api"
_SPECIAL: Final = "/@:%#?&'\" \\$"
_MOST_AT_ONCE: Final = 4
_KINDS: Final = ("wrong password", "not quoted", "key=value", "option")
_VERBS: Final = (
    ("--help",),
    ("doctor", "--json"),
    ("status", "--json"),
    ("migrate", "--json"),
    ("account", "list", "--json"),
    ("bench", "throughput", "--commands", "x"),
)


class Canary:
    """A password whose core survives quoting; `DSN`s that hold it, right and wrong ones."""

    def __init__(self, login: str, dsn: str) -> None:
        """Make a password up for a login at the server of a DSN."""
        self.core = f"c4n4ry{secrets.token_hex(8)}"
        self.login = login
        self.password = f"{self.core}{_SPECIAL}"
        self._parts = urlsplit(dsn)
        self._host = self._parts.netloc.rpartition("@")[2]

    @property
    def dsn(self) -> str:
        """The one that lets in."""
        return self._dsn(quote(self.password, safe=""))

    @property
    def wrong(self) -> dict[str, str]:
        """Those that do not."""
        database = self._parts.path[1:]
        plain = self.core
        return {
            "wrong password": self._dsn(f"{plain}x"),
            "unreachable": self._dsn(plain, f"127.0.0.1:{free_port()}"),
            "no such host": self._dsn(plain, "nobody.invalid:1"),
            "not quoted": self._dsn(self.password),
            "slash": self._dsn(f"{plain}/x"),
            "key=value": f"host=127.0.0.1 user={self.login} password={plain} dbname={database}",
            "key=value, quoted": f"host=127.0.0.1 password='{plain} x'",
            "option": f"{self._dsn(plain)}&sslmode=often",
            "in the query": f"postgresql://{self._host}/{database}?user=x&password={plain}&port=y",
            "nothing but it": plain,
        }

    def _dsn(self, password: str, host: str = "") -> str:
        netloc = f"{self.login}:{password}@{host or self._host}"
        return urlunsplit(self._parts._replace(netloc=netloc))

    def found_in(self, text: str) -> bool:
        """Tell whether the text has the canary, as it is or encoded."""
        core = self.core.encode()
        forms = {self.core, core.hex(), self.core[::-1]}
        # In base64, what stands before it shifts it by up to two bytes; the ends are then mixed up.
        forms |= {base64.b64encode(b"\0" * shift + core)[4:-4].decode() for shift in range(3)}
        return any(form in text for form in forms)


@pytest.fixture
async def canary(world: World) -> AsyncIterator[Canary]:
    """Give a login that may do what every service does, with a canary for a password."""
    login = f"passbook_test_{secrets.token_hex(4)}"
    await world.admin.execute(f"CREATE ROLE {login} LOGIN IN ROLE {', '.join(ROLES)}")
    canary = Canary(login, world.database.admin_dsn)
    await give_passwords(world.database.admin_dsn, {login: canary.password})
    yield canary
    for process in world.processes:
        await process.kill()
    await world.admin.execute(f"DROP ROLE {login}")


async def test_services_tell_no_password_whatever_happens(world: World, canary: Canary) -> None:
    """Seen to fail: without `_check_dsn` in the settings, by a traceback that quoted as port what
    stood before a slash in the password.
    """
    running = [
        world.start(name, dsn=canary.dsn, PASSBOOK_LOG_LEVEL="debug", PASSBOOK_HTTP_PORT=str(port))
        for name, port in zip(OF_SERVICE, [free_port() for _ in OF_SERVICE], strict=True)
    ]
    for process in running:
        await process.ready()
    pages = [
        (await process.get(path)).body
        for process in running
        for path in ("/metrics", "/readyz", "/livez", f"/{canary.core}"[:1])
    ]
    ailing = [
        world.start(
            (RELAY, BALANCES, COMMAND_SERVICE)[place % 3], dsn=dsn, PASSBOOK_LOG_LEVEL="debug"
        )
        for place, dsn in enumerate(canary.wrong.values())
    ]
    ailing.append(
        world.start(
            RELAY,
            PASSBOOK_KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
            PASSBOOK_KAFKA_SASL_USERNAME="somebody",
            PASSBOOK_KAFKA_SASL_PASSWORD=canary.password,
            PASSBOOK_LOG_LEVEL="debug",
        )
    )
    ailing.append(
        world.start(
            _QUERY_API,
            PASSBOOK_JWT_JWKS=f"http://somebody:{canary.core}@127.0.0.1:{free_port()}/jwks",
            PASSBOOK_JWT_ISSUER="https://issuer.example",
            PASSBOOK_JWT_AUDIENCE="passbook",
            PASSBOOK_LOG_LEVEL="debug",
        )
    )
    await until(lambda: not any(map(canary.found_in, _command_lines())))
    await until(lambda: all(map(_has_said, ailing)), 60)

    leaks = {
        process.log.name for process in world.processes if canary.found_in(process.log.read_text())
    }
    assert leaks == set()
    assert not any(map(canary.found_in, pages))
    assert not any(map(canary.found_in, _command_lines()))


def _has_said(process: ServiceProcess) -> bool:
    """Tell whether it has said what is wrong."""
    if process.exit_code is not None:
        return True
    return any(map(process.logged, ("service.unavailable", "jwks.unavailable")))


async def test_http_errors_tell_no_token(world: World, canary: Canary) -> None:
    port = free_port()
    service = world.start(
        _QUERY_API, dsn=canary.dsn, PASSBOOK_HTTP_PORT=str(port), PASSBOOK_LOG_LEVEL="debug"
    )
    await service.ready()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        header = {"Authorization": f"Bearer {canary.core}.{canary.core}.{canary.core}"}
        answers = [
            await client.get("/v1/accounts/nonsense", headers=header),
            await client.get("/v1/nowhere", headers=header),
            await client.post("/v1/accounts", content=b"{", headers=header),
            await client.get("/v1/overview", headers=header | {"Cookie": canary.core}),
        ]
    assert not any(canary.found_in(answer.text + str(answer.headers)) for answer in answers)
    assert not canary.found_in(service.log.read_text())


async def test_verbs_tell_no_password_whatever_happens(
    world: World, canary: Canary, tmp_path: Path
) -> None:
    """Seen to fail: as above."""
    at_once = asyncio.Semaphore(_MOST_AT_ONCE)
    passwords = tmp_path / "passwords"
    passwords.mkdir()
    for login in ROLES:
        (passwords / login).write_text(f"{canary.core}\u00e9")

    async def run(dsn: str, *verb: str, **settings: str) -> Ended:
        program = Program(
            {
                "PASSBOOK_EVENT_STORE_DSN": dsn,
                "PASSBOOK_KAFKA_BOOTSTRAP": world.kafka,
                "PASSBOOK_TOPIC_PREFIX": world.topics.prefix,
                "PASSBOOK_TOPIC_PARTITIONS": str(world.topics.partitions),
                "PASSBOOK_DATA_DIR": str(tmp_path / "none"),
                **settings,
            }
        )
        async with at_once:
            ended = await program(*verb)
            assert not any(map(canary.found_in, _command_lines()))
            return ended

    file = tmp_path / "dsn"
    file.write_text(canary.wrong["key=value"])
    debug = {"PASSBOOK_DEBUG": "1"}
    ended = await asyncio.gather(
        *(run(canary.dsn, *verb) for verb in _VERBS),
        *(run(canary.wrong[kind], "doctor") for kind in _KINDS),
        *(run(canary.wrong[kind], "status", **debug) for kind in ("wrong password", "not quoted")),
        run("", "status", PASSBOOK_EVENT_STORE_DSN_FILE=str(file), **debug),
        run(canary.dsn, "migrate", "--passwords", str(passwords), **debug),
        run(canary.wrong["key=value"], "up"),
        run(canary.wrong["unreachable"], "run", RELAY, "--help"),
    )

    said = {number: one.stdout + one.stderr for number, one in enumerate(ended)}
    assert [number for number, text in said.items() if canary.found_in(text)] == []
    assert all(said.values())
    assert {ended[number].code for number in range(1, 5)} == {0}, said


def _command_lines() -> list[str]:
    """Return the command line of every process there is, the servers' too."""
    lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                lines.append((entry / "cmdline").read_text(errors="replace"))
            except OSError:
                continue  # it has just ended
    return lines
