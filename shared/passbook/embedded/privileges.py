"""Where a server that must not run as root may live.

PostgreSQL refuses to run as root, so root starts it as `nobody`. That account must reach its
binaries and its data, but a home directory is usually closed to it (0700), and opening somebody's
parent directories is not ours to do. So root's files go to a place of their own whenever they would
be out of reach.
"""

import hashlib
import os
import pwd
import secrets
import stat
from pathlib import Path
from typing import Final

from passbook.embedded.errors import DataDirectoryError
from passbook.embedded.process import Account

REACHABLE_ROOTS: Final = (
    Path("/var/lib/passbook"),
    Path("/var/tmp/passbook-root"),  # noqa: S108  for read-only images; its owner is checked
)
OVERFLOW_ID: Final = 65534  # the kernel's own nobody


def server_account() -> Account | None:
    """Return the account to run a server as: `nobody` for root, None (its own) for all others."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:  # an image without a user database
        return Account(OVERFLOW_ID, OVERFLOW_ID)
    return Account(entry.pw_uid, entry.pw_gid)


def make_open_dir(path: Path) -> None:
    """Have a directory; a new one may be walked through by everybody, whatever the umask says."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o755)


def is_reachable(path: Path, account: Account) -> bool:
    """Tell whether the account may walk down to `path` through every directory above it."""
    return all(_may_enter(parent, account) for parent in path.resolve().parents)


def reachable_root() -> Path:
    """Return a directory of root's which everybody may walk through and only root may change.

    Raises:
        DataDirectoryError: no candidate can be made, or somebody else has put something there.
    """
    refusals = []
    for root in REACHABLE_ROOTS:
        try:
            root.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            refusals.append(str(error))
            continue
        found = root.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and not found.st_mode & 0o022:
            root.chmod(0o755)  # mkdir obeys the umask
            return root
        refusals.append(f"{root} is not a directory that only root may change")
    raise DataDirectoryError(REACHABLE_ROOTS[0], "; ".join(refusals))


def home_for(name: str, origin: Path) -> Path:
    """Make a new directory in the reachable root for the data directory `origin`.

    The name is not derived from `origin` alone: directories are moved and made again, and must not
    meet old files.
    """
    digest = hashlib.sha256(str(origin.resolve()).encode()).hexdigest()[:8]
    home = reachable_root() / f"{name}-{digest}-{secrets.token_hex(4)}"
    make_open_dir(home)
    (home / "README").write_text(
        f"PostgreSQL data of {origin.resolve()}: remove it when that directory is gone.\n"
    )
    return home


def _may_enter(directory: Path, account: Account) -> bool:
    found = directory.stat()
    if found.st_uid == account.uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == account.gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)
