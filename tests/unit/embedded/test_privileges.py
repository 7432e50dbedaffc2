"""Where a server that must not run as root can live."""

import os
from pathlib import Path

import pytest

from passbook.embedded import privileges
from passbook.embedded.errors import DataDirectoryError
from passbook.embedded.privileges import home_for, is_reachable, make_open_dir, reachable_root
from passbook.embedded.process import Account

STRANGER = Account(61234, 61234)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root's files only")


def test_closed_directory_anywhere_above_is_out_of_reach(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "open").mkdir(parents=True)
    for path in (closed, closed / "open"):
        path.chmod(0o755)
    reachable_before = is_reachable(closed / "open", STRANGER)
    closed.chmod(0o700)
    assert not is_reachable(closed / "open", STRANGER)
    assert reachable_before is is_reachable(tmp_path, STRANGER)


def test_new_directory_is_open_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make_open_dir(tmp_path / "new")
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o755


def test_existing_directory_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir(mode=0o700)
    make_open_dir(tmp_path / "old")
    assert (tmp_path / "old").stat().st_mode & 0o777 == 0o700


@as_root
def test_home_is_new_each_time_and_says_whose_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privileges, "REACHABLE_ROOTS", (tmp_path / "root",))
    one, two = home_for("data", tmp_path), home_for("data", tmp_path)
    assert one != two
    assert str(tmp_path) in (one / "README").read_text()


@as_root
def test_root_prepared_by_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privileges, "REACHABLE_ROOTS", (tmp_path / "squatted",))
    (tmp_path / "squatted").mkdir()
    os.chown(tmp_path / "squatted", STRANGER.uid, STRANGER.gid)
    with pytest.raises(DataDirectoryError, match="only root"):
        reachable_root()
    (tmp_path / "squatted").rmdir()
    (tmp_path / "squatted").symlink_to(tmp_path)
    with pytest.raises(DataDirectoryError, match="only root"):
        reachable_root()
