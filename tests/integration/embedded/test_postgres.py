"""The embedded PostgreSQL keeps what it committed, whatever is killed."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from passbook.embedded import postgres_binaries, privileges
from passbook.embedded.errors import (
    DataDirectoryBusyError,
    DataDirectoryError,
    MajorVersionError,
    StartError,
)
from passbook.embedded.postgres import EmbeddedPostgres
from tests.integration.embedded.contents import count_rows, write_row
from tests.support.until import is_alive, until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to step down")


@asynccontextmanager
async def running(data_dir: Path) -> AsyncIterator[EmbeddedPostgres]:
    """Run a server for the length of the block."""
    postgres = EmbeddedPostgres(data_dir)
    await postgres.start()
    try:
        yield postgres
    finally:
        await postgres.stop()


def children(pid: int) -> list[int]:
    """Return the processes that a process has forked."""
    argv = ["/bin/ps", "-A", "-o", "pid=,ppid="]
    listing = subprocess.run(argv, capture_output=True, text=True, check=True)
    pairs = (line.split() for line in listing.stdout.splitlines())
    return [int(child) for child, parent in pairs if int(parent) == pid]


def mode(path: Path) -> int:
    """Return the permission bits."""
    return path.stat().st_mode & 0o777


def kinds(root: Path) -> list[str]:
    """Return what sorts of things root keeps where others may reach them."""
    return sorted(path.name.partition("-")[0] for path in root.iterdir())


def remove_data(root: Path) -> None:
    """Remove the databases that live there."""
    for home in root.glob("data-*"):
        shutil.rmtree(home)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that has nothing to do with us, under the account of the server."""
    account = privileges.server_account()
    user = account.uid if account is not None else None
    with subprocess.Popen(["/bin/sleep", "60"], user=user) as process:
        yield process
        process.kill()


@pytest.fixture
def reachable_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Put root's files that others must reach into a directory that goes away."""
    root = Path(tempfile.mkdtemp(prefix="passbook-tests-root-"))
    root.chmod(0o755)
    monkeypatch.setattr(privileges, "REACHABLE_ROOTS", (root,))
    yield root
    shutil.rmtree(root)


async def test_data_and_port_survive_a_stop(open_dir: Path) -> None:
    async with running(open_dir) as postgres:
        first = postgres.admin_dsn
        await write_row(first)
    async with running(open_dir) as postgres:
        assert postgres.admin_dsn == first
        assert await count_rows(first) == 1


async def test_commits_survive_the_death_of_every_process(open_dir: Path) -> None:
    async with running(open_dir) as postgres:
        await write_row(postgres.admin_dsn)
        postmaster = postgres.pid
        assert postmaster is not None
        family = [postmaster, *children(postmaster)]
        for pid in family:
            os.kill(pid, signal.SIGKILL)
        await until(lambda: not any(map(is_alive, family)))
    async with running(open_dir) as postgres:
        assert await count_rows(postgres.admin_dsn) == 1


async def test_server_is_durable_and_checks_its_pages(open_dir: Path) -> None:
    async with running(open_dir) as postgres:
        connection = await asyncpg.connect(postgres.admin_dsn)
        names = ("fsync", "full_page_writes", "synchronous_commit", "data_checksums")
        assert [await connection.fetchval(f"SHOW {name}") for name in names] == ["on"] * 4
        assert await connection.fetchval("SHOW listen_addresses") == "127.0.0.1"
        assert await connection.fetchval("SELECT current_database()") == "passbook"
        assert await connection.fetchval("SELECT 'ä' > 'z' AND upper('ä') = 'Ä'")
        await connection.close()


async def test_password_is_asked_for_and_private(open_dir: Path) -> None:
    async with running(open_dir) as postgres:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(postgres.dsn("passbook", "wrong"))
        assert mode(open_dir / "owner.password") == 0o600
    assert not (open_dir / "initdb.password").exists()


async def test_taken_port_leads_to_another(open_dir: Path) -> None:
    async with running(open_dir) as postgres:
        port = postgres.port
    with socket.create_server(("127.0.0.1", port)):
        async with running(open_dir) as postgres:
            assert postgres.port != port
            await write_row(postgres.admin_dsn)


async def test_pid_file_that_names_a_stranger_is_no_obstacle(
    open_dir: Path, stranger: subprocess.Popen[bytes]
) -> None:
    async with running(open_dir) as postgres:
        postmaster = postgres.pid
        assert postmaster is not None
        pid_file = open_dir / "pgdata" / "postmaster.pid"
        remains = pid_file.read_text()
    pid_file.write_text(remains.replace(str(postmaster), str(stranger.pid), 1))
    if (account := privileges.server_account()) is not None:
        os.chown(pid_file, account.uid, account.gid)
    async with running(open_dir):
        assert is_alive(stranger.pid)


async def test_second_server_on_the_same_directory_is_refused(open_dir: Path) -> None:
    async with running(open_dir) as postgres:
        with pytest.raises(DataDirectoryBusyError):
            await EmbeddedPostgres(open_dir).start()
        await write_row(postgres.admin_dsn)


async def test_files_of_another_major_version_are_refused(open_dir: Path) -> None:
    async with running(open_dir):
        pass
    (open_dir / "pgdata" / "PG_VERSION").write_text("17\n")
    with pytest.raises(MajorVersionError) as refusal:
        await EmbeddedPostgres(open_dir).start()
    assert (refusal.value.found, refusal.value.wanted) == ("17", "18")


@as_root
async def test_files_of_another_account_are_refused(open_dir: Path) -> None:
    (open_dir / "pgdata").mkdir()
    with pytest.raises(DataDirectoryError, match="belongs to root, must belong to nobody"):
        await EmbeddedPostgres(open_dir).start()


async def test_interrupted_initdb_is_begun_again(open_dir: Path) -> None:
    (open_dir / "pgdata.new").mkdir()
    (open_dir / "pgdata.new" / "PG_VERSION").write_text("18\n")
    async with running(open_dir) as postgres:
        await write_row(postgres.admin_dsn)


async def test_server_that_gives_up_is_reported_with_its_log(open_dir: Path) -> None:
    async with running(open_dir):
        pass
    (open_dir / "pgdata" / "global" / "pg_control").unlink()
    with pytest.raises(StartError, match="pg_control"):
        await EmbeddedPostgres(open_dir).start()


@as_root
async def test_root_reaches_nothing_into_a_closed_home(
    tmp_path: Path, reachable_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setattr(postgres_binaries, "is_reachable", lambda *_: False)
    for count in (1, 2):
        async with running(home / "postgres") as postgres:
            await write_row(postgres.admin_dsn)
            assert await count_rows(postgres.admin_dsn) == count
    assert mode(home) == 0o700
    assert not (home / "postgres" / "pgdata").exists()
    assert kinds(reachable_root) == ["data", "postgres"]


@as_root
async def test_database_that_lived_elsewhere_and_is_gone_is_not_made_anew(
    tmp_path: Path, reachable_root: Path
) -> None:
    assert mode(tmp_path) == 0o700
    async with running(tmp_path / "postgres"):
        pass
    remove_data(reachable_root)
    with pytest.raises(DataDirectoryError, match="not there"):
        await EmbeddedPostgres(tmp_path / "postgres").start()
