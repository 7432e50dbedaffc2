"""`passbook secrets create`, and giving logins their passwords."""

import stat
from pathlib import Path

import asyncpg
import pytest

from passbook.cli.logins import OF_SERVICE, give_passwords
from passbook.migrations import ROLES
from tests.support.databases import Database
from tests.support.program import Program


async def test_every_process_gets_a_folder_of_its_own(program: Program, tmp_path: Path) -> None:
    place = tmp_path / "secrets"
    ended = await program("secrets", "create", place, "--host", "postgres", "--port", 6432)
    assert ended.code == 0, ended.stderr
    folders = {folder.name for folder in place.iterdir()}
    assert folders == {"postgres", "owner", *OF_SERVICE}
    passwords = {login: (place / "owner" / "logins" / login).read_text() for login in ROLES}
    assert len(set(passwords.values())) == len(ROLES)
    assert min(map(len, passwords.values())) >= 32
    for service, login in OF_SERVICE.items():
        dsn = (place / service / "event_store_dsn").read_text()
        assert dsn == f"postgresql://{login}:{passwords[login]}@postgres:6432/passbook"
    owner = (place / "postgres" / "password").read_text()
    assert (place / "owner" / "event_store_dsn").read_text() == (
        f"postgresql://passbook:{owner}@postgres:6432/passbook"
    )
    assert not [secret for secret in (owner, *passwords.values()) if secret in ended.stdout]


async def test_only_the_servers_password_can_be_read_by_others(
    program: Program, tmp_path: Path
) -> None:
    await program("secrets", "create", tmp_path / "secrets")
    files = [path for path in (tmp_path / "secrets").rglob("*") if path.is_file()]
    open_to_all = [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert [path.parent.name for path in open_to_all] == ["postgres"]


@pytest.mark.parametrize(("before", "after"), [(None, 0o700), (0o711, 0o711)])
async def test_a_directory_that_it_makes_is_its_owners_alone(
    program: Program, tmp_path: Path, before: int | None, after: int
) -> None:
    """One that is there, like the root of a container's volume, stays as it is, and every folder in it
    can be entered by the server it is mounted for. Seen to fail when only the folders were made.
    """
    place = tmp_path / "secrets"
    if before is not None:
        place.mkdir()
        place.chmod(before)
    await program("secrets", "create", place, "--kafka", "kafka")
    assert stat.S_IMODE(place.stat().st_mode) == after
    folders = {stat.S_IMODE(folder.stat().st_mode) for folder in place.iterdir()}
    assert folders == {0o755}


async def test_what_is_there_stays(program: Program, tmp_path: Path) -> None:
    """Seen to fail without the look at `path.exists()`: a second start locked everybody out."""
    place = tmp_path / "secrets"
    await program("secrets", "create", place)
    before = {path: path.read_text() for path in place.rglob("*") if path.is_file()}
    (place / "query-api" / "event_store_dsn").unlink()
    ended = await program("secrets", "create", place, "--json")
    assert ended.document == {"created": ["query-api/event_store_dsn"]}
    assert {path: path.read_text() for path in place.rglob("*") if path.is_file()} == before


async def test_a_place_where_nothing_can_be_written_is_named(
    program: Program, tmp_path: Path
) -> None:
    (tmp_path / "secrets").write_text("in the way")
    ended = await program("secrets", "create", tmp_path / "secrets")
    assert ended.code == 1
    assert str(tmp_path / "secrets") in ended.stderr


async def test_a_login_with_its_new_password_gets_in(database: Database) -> None:
    login, old = database.logins["passbook_reader"]
    new = "it's a \\ %41 password"
    try:
        await give_passwords(database.admin_dsn, {login: new})
        connection = await asyncpg.connect(database.admin_dsn, user=login, password=new)
        await connection.close()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(database.admin_dsn, user=login, password=old)
    finally:
        await give_passwords(database.admin_dsn, {login: old})


@pytest.mark.parametrize("broken", ["missing", "empty"])
async def test_a_login_without_a_password_is_named_before_anything_is_done(
    program: Program, tmp_path: Path, broken: str
) -> None:
    for login in ROLES:
        (tmp_path / login).write_text("secret\n")
    if broken == "missing":
        (tmp_path / "passbook_reader").unlink()
    else:
        (tmp_path / "passbook_reader").write_text("\n")
    ended = await program("migrate", "--passwords", tmp_path)
    assert ended.code == 1
    assert "passbook_reader" in ended.stderr
    assert "secret" not in ended.stderr


async def test_it_waits_for_a_server_as_long_as_it_was_told_and_says_so(tmp_path: Path) -> None:
    nobody = Program(
        {
            "PASSBOOK_EVENT_STORE_DSN": "postgresql://nobody@127.0.0.1:1/none",
            "PASSBOOK_KAFKA_BOOTSTRAP": "127.0.0.1:1",
            "PASSBOOK_DATA_DIR": str(tmp_path),
        }
    )
    for verb in (("migrate",), ("topics", "apply")):
        ended = await nobody(*verb, "--wait", 1)
        assert ended.code == 69
        assert ended.stderr.count("waiting for the server") == 1
        assert (await nobody(*verb)).stderr.count("waiting") == 0
