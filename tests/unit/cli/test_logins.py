from pathlib import Path

from passbook.cli.logins import OF_SERVICE, READER, login_dsn
from passbook.embedded.datadir import DataDir
from passbook.migrations import ROLES


def test_every_login_is_somebodys() -> None:
    assert {*OF_SERVICE.values(), READER} == set(ROLES)


def test_a_login_is_at_the_owners_server_with_a_password_that_stays(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    data_dir.create()

    dsn = login_dsn("postgresql://owner:p%40ss@127.0.0.1:5/db?sslmode=disable", READER, data_dir)

    password = data_dir.password(READER)
    assert dsn == f"postgresql://{READER}:{password}@127.0.0.1:5/db?sslmode=disable"
    assert (tmp_path / "secrets" / READER).stat().st_mode & 0o777 == 0o600
