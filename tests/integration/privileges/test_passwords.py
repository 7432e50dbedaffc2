"""A password lets its login in, and never reaches the server in a statement."""

import asyncpg
import pytest

from passbook.cli.logins import give_passwords
from tests.support.databases import Database

PASSWORD = 'it\'s 100% "fine" \\ $1 {x}'


async def test_a_given_password_lets_in_and_no_other_does(
    database: Database, throwaway_login: str
) -> None:
    await give_passwords(database.admin_dsn, {throwaway_login: PASSWORD})

    connection = await asyncpg.connect(
        database.admin_dsn, user=throwaway_login, password=PASSWORD, timeout=10
    )
    assert await connection.fetchval("SELECT current_user") == throwaway_login
    await connection.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(
            database.admin_dsn, user=throwaway_login, password=f"{PASSWORD}!", timeout=10
        )


async def test_the_server_is_not_told_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen to fail: with the password itself in the statement."""
    told: list[object] = []

    class Connection:
        async def fetchval(self, *sent: object) -> str:
            told.extend(sent)
            return "ALTER ROLE"

        async def execute(self, *sent: object) -> None:
            told.extend(sent)

        async def close(self) -> None: ...

    async def connect(_dsn: str) -> Connection:
        return Connection()

    monkeypatch.setattr(asyncpg, "connect", connect)
    await give_passwords("postgresql://", {"somebody": "open sesame"})

    assert "somebody" in told
    assert not [part for part in told if "open sesame" in str(part)]
