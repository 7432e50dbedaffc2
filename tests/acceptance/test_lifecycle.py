"""`passbook up` and what goes with it, as a person in a terminal sees them."""

import asyncio
import json
import os
import signal
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from passbook.embedded.endpoints import Endpoints
from passbook.messaging.topics import Topics
from tests.support.databases import Database
from tests.support.installation import Installation, Up, ended, installation
from tests.support.program import Program
from tests.support.servers import Servers
from tests.support.until import is_alive, state, until

pytestmark = pytest.mark.timeout(240)

SERVICES = ["command-service", "outbox-relay", "balance-projector", "audit-projector", "query-api"]
_LOGINS = """
SELECT DISTINCT usename FROM pg_stat_activity
 WHERE application_name IN
       ('command-service', 'outbox-relay', 'balance-projector', 'audit-projector', 'query-api')
"""


@pytest.fixture(scope="module")
def here() -> Iterator[Installation]:
    """Give the installation that the tests of this module share where they leave it as it is."""
    with installation() as shared:
        yield shared


@pytest.fixture(scope="module")
async def up(here: Installation) -> AsyncIterator[Up]:
    """Give a running `up` that no test ends."""
    async with here.up() as running:
        yield running


@pytest.fixture
def fresh() -> Iterator[Installation]:
    """Give an installation of one test's own."""
    with installation() as own:
        yield own


def test_up_prints_what_endpoints_json_says(here: Installation, up: Up) -> None:
    file = here.data_dir / "endpoints.json"

    assert json.loads(file.read_text()) == up.document
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(up.document["services"]) == SERVICES
    assert all(is_alive(pid) for pids in up.service_pids.values() for pid in pids)


def test_passwords_are_where_they_are_kept_and_nowhere_else(here: Installation, up: Up) -> None:
    """Not on a command line, and in no log, the servers' included."""
    kept = [here.data_dir / "endpoints.json", *here.data_dir.glob("secrets/*")]
    kept += here.data_dir.glob("postgres/*.password")
    passwords = {file.read_text() for file in kept[1:]}
    assert len(passwords) > len(SERVICES)
    logs = [file for file in here.data_dir.rglob("*.log") if "pgdata" not in file.parts]
    assert logs
    places = [*here.processes().values(), *(file.read_text(errors="replace") for file in logs)]

    assert any(one in kept[0].read_text() for one in passwords)  # they are found where they are
    assert not [place for place in places if any(one in place for one in passwords)]
    assert {stat.S_IMODE(file.stat().st_mode) for file in kept} == {0o600}
    assert up.document["admin_dsn"]


async def test_every_service_logs_in_as_itself(up: Up) -> None:
    connection = await asyncpg.connect(up.document["admin_dsn"])
    try:
        logins = {row[0] for row in await connection.fetch(_LOGINS)}
    finally:
        await connection.close()

    assert logins == {f"passbook_{name.replace('-', '_')}" for name in SERVICES}


async def test_status_says_what_runs(here: Installation, up: Up) -> None:
    ended = await here.passbook("status", "--json")

    assert ended.code == 0
    status = ended.document
    assert status["running"] is True
    assert status["endpoints"] == up.document
    assert [service["name"] for service in status["services"]] == SERVICES
    assert all(service["ready"] for service in status["services"])
    assert {lag["name"] for lag in status["projections"]} == {"audit", "balance"}
    assert status["relay"] == {"backlog_events": 0, "backlog_s": 0.0}


@pytest.mark.usefixtures("up")
async def test_a_second_up_says_that_it_runs_already(here: Installation) -> None:
    ended = await here.passbook("up")

    assert ended.code == 1
    assert "already" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert (await here.passbook("status", "--json")).document["running"] is True


@pytest.mark.usefixtures("up")
async def test_nothing_is_pending_after_up(here: Installation) -> None:
    migrations = await here.passbook("migrate", "--check", "--json")
    topics = await here.passbook("topics", "apply", "--check", "--json")

    assert (migrations.code, migrations.document) == (0, {"pending": []})
    assert (topics.code, topics.document) == (0, {"missing": []})


@pytest.mark.usefixtures("up")
async def test_doctor_finds_nothing_wrong_with_up(here: Installation) -> None:
    ended = await here.passbook("doctor", "--json")

    assert ended.code == 0, ended.stdout
    assert {check["state"] for check in ended.document["checks"]} == {"ok"}


@pytest.mark.usefixtures("up")
async def test_topics_are_created_once(here: Installation) -> None:
    passbook = Program({**here.passbook.settings, "PASSBOOK_TOPIC_PREFIX": f"{uuid4().hex[:8]}."})

    assert (await passbook("topics", "apply", "--check")).code == 1
    assert len((await passbook("topics", "apply", "--json")).document["created"]) == 6
    assert (await passbook("topics", "apply", "--json")).document["created"] == []
    assert (await passbook("topics", "apply", "--check")).code == 0


@pytest.mark.usefixtures("up")
async def test_one_more_instance_runs_beside_up_and_ends_when_told(here: Installation) -> None:
    process = await here.passbook.start("run", "outbox-relay")
    assert process.stderr is not None

    async with asyncio.timeout(30):
        while b"relay.standby" not in await process.stderr.readline():
            assert not process.stderr.at_eof()
    process.send_signal(signal.SIGTERM)

    assert await ended(process) == 0


@pytest.mark.usefixtures("up")
async def test_killed_servers_are_started_again_on_their_data(here: Installation) -> None:
    opening = ("account", "open", "--owner", "Ada", "--deposit", "500.00", "--json")
    account_id = (await here.passbook(*opening)).document["account_id"]

    killed = {
        pid
        for pid, command in here.processes().items()
        if "bin/postgres -D" in command or "kafka.Kafka" in command
    }
    for pid in killed:
        os.kill(pid, signal.SIGKILL)

    async def is_back() -> bool:
        status = await here.passbook("status", "--json")
        return status.code == 0 and all(one["ready"] for one in status.document["services"])

    # The moment without any of them may be over before somebody looks.
    await until(lambda: killed.isdisjoint(here.processes()))
    await until(is_back, 60)
    deposit = await here.passbook("account", "deposit", account_id, "1.00", "--timeout", "60")
    assert deposit.code == 0, deposit.stderr


@pytest.mark.usefixtures("up")
async def test_a_killed_service_is_back_at_once(here: Installation, up: Up) -> None:
    [killed] = up.service_pids["audit-projector"]
    os.kill(killed, signal.SIGKILL)

    def pids() -> list[int]:
        endpoints = Endpoints.from_json((here.data_dir / "endpoints.json").read_text())
        return [process.pid for process in endpoints.services["audit-projector"]]

    await until(lambda: pids() not in ([], [killed]))
    up.document["services"] = json.loads((here.data_dir / "endpoints.json").read_text())["services"]


async def test_up_ends_in_order_when_told_and_leaves_nothing(fresh: Installation) -> None:
    async with fresh.up("--scale", "balance-projector=2") as running:
        assert len(running.service_pids["balance-projector"]) == 2
        code = await running.end(signal.SIGTERM)

    assert code == 0
    assert fresh.processes() == {}
    assert not (fresh.data_dir / "endpoints.json").exists()
    assert (await fresh.passbook("status", "--json")).document["running"] is False


async def test_nothing_survives_a_killed_up_but_the_data(fresh: Installation) -> None:
    async with fresh.up() as running:
        opened = await fresh.passbook(
            "account", "open", "--owner", "Ada", "--deposit", "500.00", "--json"
        )
        assert opened.code == 0, opened.stderr
        account_id = opened.document["account_id"]
        assert await running.end(signal.SIGKILL) == -signal.SIGKILL
        await fresh.until_nothing_runs()
    assert (await fresh.passbook("status", "--json")).document["running"] is False

    async with fresh.up():
        deposit = await fresh.passbook("account", "deposit", account_id, "1.00", "--json")
        assert deposit.code == 0, deposit.stderr
        shown = await fresh.passbook("account", "show", account_id, "--min-version", "2", "--json")
        assert shown.document["balance"] == "501.00"
        down = await fresh.passbook("down", "--json")

        assert (down.code, down.document) == (0, {"running": False, "stopped": True})
        assert fresh.processes() == {}


async def test_an_interrupted_start_leaves_nothing(fresh: Installation) -> None:
    process = await fresh.passbook.start("up")
    assert process.stderr is not None
    async with asyncio.timeout(60):
        line = await process.stderr.readline()
        assert b" on port " in line, line  # whichever of the two servers is the first
    process.send_signal(signal.SIGINT)

    assert await ended(process) == 0
    assert fresh.processes() == {}


async def test_a_further_interrupt_does_not_wait_for_services(fresh: Installation) -> None:
    async with fresh.up() as running:
        frozen = running.service_pids["command-service"][0]
        os.kill(frozen, signal.SIGSTOP)
        # Until it stands still, a SIGTERM would still reach it, ahead of the SIGSTOP.
        await until(lambda: state(frozen) == "T")
        running.process.send_signal(signal.SIGINT)
        await until(lambda: _has_pending_sigterm(frozen))
        code = await running.end(signal.SIGINT)

    assert code == 0
    assert fresh.processes() == {}


async def test_down_where_nothing_runs_says_so(fresh: Installation) -> None:
    ended = await fresh.passbook("down", "--json")

    assert (ended.code, ended.document) == (0, {"running": False, "stopped": False})


async def test_verbs_say_how_to_start_where_nothing_runs(fresh: Installation) -> None:
    for verb in (("migrate",), ("topics", "apply"), ("account", "list"), ("run", "outbox-relay")):
        ended = await fresh.passbook(*verb)

        assert ended.code == 69
        assert ended.stderr.count("\n") == 1
        assert "passbook up" in ended.stderr


async def test_up_starts_no_server_where_own_ones_are_configured(
    servers: Servers, database: Database, topics: Topics
) -> None:
    with installation(
        PASSBOOK_EVENT_STORE_DSN=database.admin_dsn,
        PASSBOOK_KAFKA_BOOTSTRAP=servers.kafka_bootstrap,
        PASSBOOK_TOPIC_PREFIX=topics.prefix,
        PASSBOOK_TOPIC_PARTITIONS=str(topics.partitions),
    ) as own:
        async with own.up() as running:
            assert running.document["kafka_bootstrap"] == servers.kafka_bootstrap
            assert running.document["event_store_dsn"] == database.admin_dsn
            assert running.document["admin_dsn"] is None
            assert not (own.data_dir / "postgres").exists()
            assert not (own.data_dir / "kafka").exists()
            assert await running.end(signal.SIGTERM) == 0
        assert own.processes() == {}


def _has_pending_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    pending = next(line for line in status if line.startswith("ShdPnd"))
    return bool(int(pending.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
