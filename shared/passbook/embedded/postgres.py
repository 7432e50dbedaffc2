"""PostgreSQL 18 as a child process: durable, on loopback only, with a password."""

import asyncio
import signal
from pathlib import Path
from typing import Final
from urllib.parse import quote

import asyncpg

from passbook.embedded.errors import StartError
from passbook.embedded.locks import FileLock
from passbook.embedded.logs import open_log
from passbook.embedded.orphans import is_ours, stop_orphan
from passbook.embedded.ports import LOOPBACK, remembered_port
from passbook.embedded.postgres_binaries import postgres_bin
from passbook.embedded.postgres_files import PostgresFiles
from passbook.embedded.privileges import make_open_dir, server_account
from passbook.embedded.process import POLL_S, Child, server_environment, spawn

OWNER: Final = "passbook"
DATABASE: Final = "passbook"
READY_BOUND_S: Final = 60.0  # crash recovery of a full max_wal_size included
STOP_BOUND_S: Final = 30.0  # a fast stop writes a checkpoint
START_ATTEMPTS: Final = 5
CONNECT_BOUND_S: Final = 5.0

NOT_YET: Final = (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError)

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
    "jit": "off",
    "autovacuum": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
}


class EmbeddedPostgres:
    """A PostgreSQL server that lives in `data_dir`, and no longer than this process.

    `data_dir` keeps the database, the log, the password of its owner and the port. For root the
    server runs as `nobody`.
    """

    def __init__(self, data_dir: Path) -> None:
        """Name the directory; nothing is touched before `start`."""
        self.data_dir = data_dir.resolve()
        self.port = 0
        self._account = server_account()
        self._files = PostgresFiles(self.data_dir, self._account)
        self._lock = FileLock(self.data_dir / "lock")
        self._child: Child | None = None

    @property
    def log(self) -> Path:
        """Where the server says what it does."""
        return self._files.log

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        return self._child.pid if self._child is not None else None

    @property
    def admin_dsn(self) -> str:
        """DSN of the superuser, who owns the database `passbook`."""
        return self.dsn(OWNER, self._files.password)

    def dsn(self, user: str, password: str, database: str = DATABASE) -> str:
        """Return the DSN of a login on this server (on loopback, built without TLS)."""
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        place = f"{LOOPBACK}:{self.port}/{quote(database, safe='')}"
        return f"postgresql://{login}@{place}?sslmode=disable"

    async def start(self) -> None:
        """Accept connections; the database `passbook` exists.

        A server that a dead process left behind is stopped first.

        Raises:
            DataDirectoryBusyError: a live process runs on this directory.
            DataDirectoryError: the files belong to somebody else, or to another major version.
            StartError: the server gave up; its log says why.
        """
        make_open_dir(self.data_dir)
        self._lock.acquire()
        try:
            pgdata = await self._files.ensure(OWNER)
            await _clear_remains(pgdata)
            await self._launch(pgdata)
            await self._create_database()
        except BaseException:
            await self.stop()
            raise

    async def ended(self) -> None:
        """Return when the server has ended, however it did; at once when it does not run."""
        if self._child is not None:
            await self._child.wait()

    async def stop(self) -> None:
        """Cut the sessions, write a checkpoint, end the server; harmless when it does not run."""
        child, self._child = self._child, None
        try:
            if child is not None:
                await child.stop(signal.SIGINT, STOP_BOUND_S)
        finally:
            self._lock.release()

    async def _launch(self, pgdata: Path) -> None:
        """Start until it answers.

        Again if the port was taken in between, or a predecessor's memory is still mapped.
        """
        for attempt in range(1, START_ATTEMPTS + 1):
            self.port = remembered_port(self.data_dir / "port")
            self._child = self._spawn(pgdata)
            try:
                await self._ready(self._child)
            except StartError:
                if attempt == START_ATTEMPTS or self._child.returncode is None:
                    raise
                await asyncio.sleep(POLL_S * 2**attempt)
            else:
                return

    def _spawn(self, pgdata: Path) -> Child:
        # SIGQUIT, the immediate stop, if our parent dies: it always ends, and recovery at the next
        # start takes a moment.
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        with open_log(self.log) as log:
            return spawn(
                [
                    postgres_bin(self._account) / "postgres",
                    "-D",
                    pgdata,
                    "-p",
                    str(self.port),
                    *settings,
                ],
                output=log,
                death_signal=signal.SIGQUIT,
                account=self._account,
                env=server_environment(),
                cwd=pgdata,
            )

    async def _ready(self, child: Child) -> None:
        """Wait for the first answer; the server refuses connections while it recovers."""
        try:
            async with asyncio.timeout(READY_BOUND_S):
                while child.returncode is None:
                    try:
                        connection = await self._connect("postgres")
                    except NOT_YET:
                        await asyncio.sleep(POLL_S)
                    else:
                        await connection.close()
                        return
        except TimeoutError:
            raise StartError(
                "postgres", f"no answer within {READY_BOUND_S:.0f} s", self.log
            ) from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StartError("postgres", str(error), self.log) from error
        raise StartError("postgres", f"exit status {child.returncode}", self.log)

    async def _create_database(self) -> None:
        connection = await self._connect("postgres")
        try:
            if not await connection.fetchval(
                "SELECT 1 FROM pg_database WHERE datname = $1", DATABASE
            ):
                await connection.execute(f'CREATE DATABASE "{DATABASE}"')
        finally:
            await connection.close()

    async def _connect(self, database: str) -> asyncpg.Connection:
        dsn = self.dsn(OWNER, self._files.password, database)
        return await asyncpg.connect(dsn, timeout=CONNECT_BOUND_S, command_timeout=READY_BOUND_S)


async def _clear_remains(pgdata: Path) -> None:
    """Stop the server that a killed parent left behind, and remove its pid file.

    The caller holds the lock, so whoever started that server is dead. PostgreSQL itself would
    refuse to start as long as the pid in the file is alive, whoever that is by now.
    """
    pid_file = pgdata / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        pid = 0
    if pid > 0 and is_ours(pid, pgdata):
        await stop_orphan(pid, pgdata, signal.SIGINT, STOP_BOUND_S)
    pid_file.unlink(missing_ok=True)
