"""The files of one PostgreSQL: where they are, how they come to be, whether they fit."""

import os
import pwd
import secrets
import shutil
import signal
from pathlib import Path
from typing import Final

from passbook.embedded.errors import DataDirectoryError, MajorVersionError, StartError
from passbook.embedded.logs import open_log
from passbook.embedded.postgres_binaries import postgres_bin
from passbook.embedded.privileges import home_for, is_reachable
from passbook.embedded.process import Account, server_environment, spawn

MAJOR: Final = "18"
INITDB_BOUND_S: Final = 60.0


class PostgresFiles:
    """The database files that belong to `data_dir`, and the password of their owner.

    Usually they are in `data_dir` itself. When the account that the server runs as cannot reach it,
    they are where the file `location` in it says.
    """

    def __init__(self, data_dir: Path, account: Account | None) -> None:
        """Name the directory and the account of the server; None is the caller's own."""
        self.data_dir = data_dir
        self.log = data_dir / "postgres.log"
        self._account = account
        self._password_file = data_dir / "owner.password"

    @property
    def password(self) -> str:
        """The owner's password."""
        try:
            return self._password_file.read_text()
        except FileNotFoundError:
            raise DataDirectoryError(
                self._password_file, "the password of the database's owner is gone"
            ) from None

    async def ensure(self, owner: str) -> Path:
        """Return the directory of the database, made new with this superuser if there is none.

        Raises:
            DataDirectoryError: it is no database, of another account, or of another major version.
            StartError: initdb failed.
        """
        pgdata = self._home() / "pgdata"
        if pgdata.exists():
            self._check(pgdata)
        else:
            await self._initialise(pgdata, owner)
        return pgdata

    def _home(self) -> Path:
        note = self.data_dir / "location"
        if note.exists():
            home = Path(note.read_text().strip())
            if not home.is_dir():
                raise DataDirectoryError(
                    home, f"{note} names it as the place of the database, but it is not there"
                )
            return home
        if self._account is None or is_reachable(self.data_dir / "pgdata", self._account):
            return self.data_dir
        home = home_for("data", self.data_dir)
        note.write_text(f"{home}\n")
        return home

    def _check(self, pgdata: Path) -> None:
        uid = os.geteuid() if self._account is None else self._account.uid
        if pgdata.stat().st_uid != uid:
            raise DataDirectoryError(
                pgdata, f"belongs to {_user(pgdata.stat().st_uid)}, must belong to {_user(uid)}"
            )
        try:
            found = (pgdata / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            raise DataDirectoryError(
                pgdata, "not a PostgreSQL data directory (no PG_VERSION)"
            ) from None
        if found != MAJOR:
            raise MajorVersionError(pgdata, found, MAJOR)

    async def _initialise(self, pgdata: Path, owner: str) -> None:
        """Run initdb beside the final name: an interrupted one is never taken for a database."""
        scratch = pgdata.with_name("pgdata.new")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        password = pgdata.with_name("initdb.password")
        _write_secret(self._password_file, secrets.token_urlsafe(24))
        _write_secret(password, self.password)
        if self._account is not None:
            for path in (scratch, password):
                os.chown(path, self._account.uid, self._account.gid)
        try:
            await self._initdb(scratch, owner, password)
        finally:
            password.unlink()
        scratch.rename(pgdata)

    async def _initdb(self, scratch: Path, owner: str, password: Path) -> None:
        # The builtin collation provider orders by code point everywhere, with or without C.UTF-8 in
        # the system's libc.
        with open_log(self.log) as log:
            child = spawn(
                [
                    postgres_bin(self._account) / "initdb",
                    *("-D", scratch, "-U", owner, "-E", "UTF8", "--data-checksums"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
                    *("--auth=scram-sha-256", f"--pwfile={password}"),
                ],
                output=log,
                death_signal=signal.SIGKILL,
                account=self._account,
                env=server_environment(),
                cwd=scratch,
            )
        if (status := await child.finish(INITDB_BOUND_S)) != 0:
            raise StartError("initdb", f"exit status {status}", self.log)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
