"""PostgreSQL 18 as a child process: durable, on loopback only, with a password."""

import asyncio
import os
import secrets
import shutil
import signal
from pathlib import Path
from typing import Final
from urllib.parse import quote

import asyncpg

from passbook.embedded.errors import DataDirectoryError, MajorVersionError, StartError
from passbook.embedded.locks import FileLock
from passbook.embedded.logs import open_log
from passbook.embedded.ports import LOOPBACK, remembered_port
from passbook.embedded.postgres_binaries import postgres_bin
from passbook.embedded.privileges import home_for, is_reachable, server_account
from passbook.embedded.process import POLL_S, Child, is_ours, spawn, stop_orphan

MAJOR: Final = "18"
OWNER: Final = "passbook"
DATABASE: Final = "passbook"
INITDB_BOUND_S: Final = 60.0
READY_BOUND_S: Final = 60.0  # crash recovery of a full max_wal_size included
STOP_BOUND_S: Final = 30.0  # a fast stop writes a checkpoint
START_ATTEMPTS: Final = 5
CONNECT_BOUND_S: Final = 5.0

SETTINGS: Final = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "wal_buffers": "16MB",
    "max_wal_size": "4GB",
    "min_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "jit": "off",
    "autovacuum": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "on",
    "log_line_prefix": "%m [%p] %u@%d ",
}


class EmbeddedPostgres:
    """A PostgreSQL server that lives in `data_dir` and as long as this process.

    `data_dir` keeps the files of the database (`pgdata`), the log, the password and the port. For root the database runs
    as `nobody`; when that account cannot reach `data_dir`, the files live elsewhere and `pgdata` is a link to them.
    """

    def __init__(self, data_dir: Path) -> None:
        """Name the directory; nothing is touched before `start`."""
        self.data_dir = data_dir.absolute()
        self.log = self.data_dir / "postgres.log"
        self.port = 0
        self._account = server_account()
        self._lock = FileLock(self.data_dir / "lock")
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        return self._child.pid if self._child is not None else None

    @property
    def admin_dsn(self) -> str:
        """DSN of the superuser, who owns the database `passbook`."""
        return self.dsn(OWNER, self._password_file.read_text().strip(), DATABASE)

    def dsn(self, user: str, password: str, database: str = DATABASE) -> str:
        """Return the DSN of a login on this server; the build has no TLS, and the port is on loopback."""
        return f"postgresql://{quote(user)}:{quote(password, safe='')}@{LOOPBACK}:{self.port}/{quote(database)}?sslmode=disable"

    async def start(self) -> None:
        """Accept connections; the database `passbook` exists. A server that a dead process left behind is stopped first.

        Raises:
            DataDirectoryBusyError: a live process runs on this directory.
            MajorVersionError: the files belong to another major version.
            StartError: the server gave up; its log says why.
        """
        self.data_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            pgdata = await self._prepared()
            await self._launch(pgdata)
            await self._create_database()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the server with a fast stop (sessions are cut, a checkpoint is written); harmless when it does not run."""
        child, self._child = self._child, None
        try:
            if child is not None:
                await child.stop(signal.SIGINT, STOP_BOUND_S)
        finally:
            self._lock.release()

    @property
    def _password_file(self) -> Path:
        return self.data_dir / "owner.password"

    async def _prepared(self) -> Path:
        pgdata = self._home() / "pgdata"
        if pgdata.exists():
            _check_version(pgdata)
            await self._clear_remains(pgdata)
        else:
            await self._initialise(pgdata)
        return pgdata

    def _home(self) -> Path:
        """Return the directory above `pgdata`: ours, or the one noted when `nobody` could not reach ours."""
        note = self.data_dir / "location"
        if note.exists():
            home = Path(note.read_text().strip())
            if not home.is_dir():
                raise DataDirectoryError(home, f"noted in {note} as the place of the database, but it is not there")
            return home
        if self._account is None or is_reachable(self.data_dir / "pgdata", self._account):
            return self.data_dir
        home = home_for("data", self.data_dir)
        note.write_text(f"{home}\n")
        return home

    async def _initialise(self, pgdata: Path) -> None:
        """Run initdb beside the final name, so that an interrupted one is never taken for a database."""
        scratch = pgdata.with_name("pgdata.new")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        password = pgdata.with_name("initdb.password")
        _write_secret(self._password_file, secrets.token_urlsafe(24))
        _write_secret(password, self._password_file.read_text())
        if self._account is not None:
            for path in (scratch, password):
                os.chown(path, self._account.uid, self._account.gid)
        try:
            await self._initdb(scratch, password)
        finally:
            password.unlink()
        scratch.rename(pgdata)

    async def _initdb(self, scratch: Path, password: Path) -> None:
        # The builtin collation provider orders by code point on every platform, with or without a C.UTF-8 in its libc.
        with open_log(self.log) as log:
            child = spawn(
                [
                    postgres_bin(self._account) / "initdb",
                    *("-D", scratch, "-U", OWNER, "-E", "UTF8", "--data-checksums"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
                    *("--auth=scram-sha-256", f"--pwfile={password}"),
                ],
                output=log,
                death_signal=signal.SIGKILL,
                account=self._account,
                cwd=scratch,
            )
        try:
            async with asyncio.timeout(INITDB_BOUND_S):
                status = await child.wait()
        except BaseException:
            await child.stop(signal.SIGKILL, 1)
            raise
        if status != 0:
            raise StartError("initdb", f"exit status {status}", self.log)

    async def _clear_remains(self, pgdata: Path) -> None:
        """Stop the server that a killed parent left behind, and remove its pid file.

        We hold the lock, so whoever started that server is dead. PostgreSQL itself would refuse to start when the pid in
        the file is alive, whoever that is by now.
        """
        pid_file = pgdata / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split("\n", 1)[0])
        except FileNotFoundError:
            return
        except ValueError:
            pid = 0
        if pid > 0 and is_ours(pid, pgdata):
            await stop_orphan(pid, pgdata, signal.SIGINT, STOP_BOUND_S)
        pid_file.unlink(missing_ok=True)

    async def _launch(self, pgdata: Path) -> None:
        """Start and wait until it answers; again on another port, or when the predecessor's memory is still mapped."""
        for attempt in range(1, START_ATTEMPTS + 1):
            self.port = remembered_port(self.data_dir / "port")
            self._child = self._spawn(pgdata)
            try:
                return await self._ready(self._child)
            except StartError:
                if attempt == START_ATTEMPTS:
                    raise
                await asyncio.sleep(POLL_S * 2**attempt)

    def _spawn(self, pgdata: Path) -> Child:
        # Immediate stop when our parent dies: it always ends, and recovery at the next start takes a moment only.
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        with open_log(self.log) as log:
            return spawn(
                [postgres_bin(self._account) / "postgres", "-D", pgdata, "-p", str(self.port), *settings],
                output=log,
                death_signal=signal.SIGQUIT,
                account=self._account,
                cwd=pgdata,
            )

    async def _ready(self, child: Child) -> None:
        async with asyncio.timeout(READY_BOUND_S):
            while child.returncode is None:
                try:
                    connection = await self._connect("postgres")
                except (OSError, asyncpg.CannotConnectNowError, TimeoutError):
                    await asyncio.sleep(POLL_S)
                else:
                    await connection.close()
                    return
        raise StartError("postgres", f"exit status {child.returncode}", self.log)

    async def _connect(self, database: str) -> asyncpg.Connection:
        dsn = self.dsn(OWNER, self._password_file.read_text().strip(), database)
        return await asyncpg.connect(dsn, timeout=CONNECT_BOUND_S)

    async def _create_database(self) -> None:
        connection = await self._connect("postgres")
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f'CREATE DATABASE "{DATABASE}"')
        finally:
            await connection.close()


def _check_version(pgdata: Path) -> None:
    try:
        found = (pgdata / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise DataDirectoryError(pgdata, "not a PostgreSQL data directory (no PG_VERSION)") from None
    if found != MAJOR:
        raise MajorVersionError(pgdata, found, MAJOR)


def _write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
