"""Every login against every statement: allowed, or refused with SQLSTATE 42501 and nothing else."""

import io
from collections.abc import AsyncIterator
from typing import Final

import asyncpg
import pytest

from passbook.migrations import ROLES
from tests.integration.privileges.conftest import LOGINS, STATES, Place
from tests.integration.privileges.statements import matrix
from tests.support.databases import connected

_ALLOWED: Final = "allowed"
_REFUSED: Final = "42501"
_NOTHING_GRANTED: Final = "01007"
_PAST_THE_RIGHTS: Final = ("22", "23", "PB0")
"""Classes of SQLSTATEs that tell of what a statement says, after the rights were looked at: data,
constraints, and the log's own refusals."""
_OTHER_REASONS: Final = ("2BP01", "3F000", "55000")
"""Why the owner may fail too: a role owns something, there is no such schema, wal_level."""
_SPECIAL: Final = """
SELECT rolname FROM pg_roles
 WHERE rolname LIKE 'passbook_%'
   AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)
"""
_BY_EVERYBODY: Final = """
SELECT oid::regprocedure::text FROM pg_proc
 WHERE pronamespace::regnamespace::text IN ('passbook', 'eventstore', 'projections', 'balances', 'audit')
   AND has_function_privilege('passbook_test_stranger', oid, 'EXECUTE')
"""
_QUERIES: Final = "SELECT query FROM pg_stat_activity WHERE pid = $1"


@pytest.fixture
async def owner_pid(place: Place) -> AsyncIterator[int]:
    """Give a session of the owner that somebody could break."""
    async with connected(place.admin_dsn) as owner:
        yield await owner.fetchval("SELECT pg_backend_pid()")


async def _outcome(connection: asyncpg.Connection, statement: str) -> str:
    """Try a statement, take it back, and say how it went."""
    warned: list[str] = []
    connection.add_log_listener(_noted := lambda _, told: warned.append(told.sqlstate))
    transaction = connection.transaction()
    await transaction.start()
    try:
        if statement.startswith("COPY") and statement.endswith("STDOUT"):
            table = statement.split()[1].split(".")
            await connection.copy_from_table(table[1], schema_name=table[0], output=io.BytesIO())
        else:
            await connection.execute(statement)
    except asyncpg.PostgresError as error:
        code = error.sqlstate or ""
        return _ALLOWED if code.startswith(_PAST_THE_RIGHTS) else code
    finally:
        await transaction.rollback()
        connection.remove_log_listener(_noted)
    # Who has some right on a table is only warned that nothing was granted.
    return _REFUSED if _NOTHING_GRANTED in warned else _ALLOWED


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("login", LOGINS)
async def test_a_login_has_its_verbs_and_no_others(
    place: Place, owner_pid: int, state: str, login: str
) -> None:
    """Seen to fail: with one right too much (see below); without the migrations that took away what
    nobody uses, by 17 to 21 cells of the relay and of the projectors, 4 or 5 of everybody else.
    """
    wrong = await _wrong(place, state, login, owner_pid)
    assert wrong == {}


async def _wrong(place: Place, state: str, login: str, owner_pid: int) -> dict[str, str]:
    rows = matrix(state)
    assert len(rows) >= 60
    wrong = {}
    async with connected(place.dsn(state, login)) as connection:
        for template, who in rows.items():
            statement = template.replace("{owner_pid}", str(owner_pid))
            outcome = await _outcome(connection, statement.replace("{database}", state))
            if outcome != (_ALLOWED if login in who else _REFUSED):
                wrong[template] = outcome
    return wrong


_TOO_MUCH: Final = {
    "GRANT DELETE ON eventstore.relay_positions TO passbook_outbox_relay": (
        "passbook_outbox_relay",
        "REVOKE DELETE ON eventstore.relay_positions FROM passbook_outbox_relay",
    ),
    "GRANT SELECT ON eventstore.commands TO PUBLIC": (
        "passbook_audit_projector",
        "REVOKE SELECT ON eventstore.commands FROM PUBLIC",
    ),
    "GRANT UPDATE (version) ON projections.installed TO passbook_balance_projector": (
        "passbook_balance_projector",
        "REVOKE UPDATE (version) ON projections.installed FROM passbook_balance_projector",
    ),
    "GRANT EXECUTE ON FUNCTION eventstore.append TO passbook_query_api": (
        "passbook_query_api",
        "REVOKE EXECUTE ON FUNCTION eventstore.append FROM passbook_query_api",
    ),
    "GRANT TEMPORARY ON DATABASE migrated TO PUBLIC": (
        "passbook_test_stranger",
        "REVOKE TEMPORARY ON DATABASE migrated FROM PUBLIC",
    ),
    "GRANT pg_read_all_settings, pg_signal_backend, pg_checkpoint TO passbook_reader": (
        "passbook_reader",
        "REVOKE pg_read_all_settings, pg_signal_backend, pg_checkpoint FROM passbook_reader",
    ),
}


@pytest.mark.parametrize("grant", _TOO_MUCH)
async def test_one_right_too_much_is_found(place: Place, owner_pid: int, grant: str) -> None:
    """The matrix is sharp: this is how it was seen to fail."""
    login, revoke = _TOO_MUCH[grant]
    async with connected(place.dsn("migrated")) as owner:
        await owner.execute(grant)
        try:
            assert await _wrong(place, "migrated", login, owner_pid)
        finally:
            await owner.execute(revoke)
    assert await _wrong(place, "migrated", login, owner_pid) == {}


async def test_statements_make_sense_to_who_may_do_everything(place: Place) -> None:
    """What the owner cannot run either proves nothing about the others."""
    senseless = {}
    async with connected(place.dsn("rebuilt")) as owner:
        for statement in matrix("rebuilt"):
            if "{" not in statement.replace("'{}'", ""):
                outcome = await _outcome(owner, statement)
                if outcome not in {_ALLOWED, *_OTHER_REASONS}:
                    senseless[statement] = outcome
    assert senseless == {}


async def test_a_login_is_nobody_special(place: Place) -> None:
    async with connected(place.admin_dsn) as owner:
        assert await owner.fetch(_SPECIAL) == []


@pytest.mark.parametrize("state", STATES)
async def test_no_function_of_ours_is_everybodys(place: Place, state: str) -> None:
    async with connected(place.dsn(state)) as owner:
        assert await owner.fetch(_BY_EVERYBODY) == []


async def test_what_others_do_is_not_shown(place: Place, owner_pid: int) -> None:
    for login in ROLES:
        async with connected(place.dsn("migrated", login)) as connection:
            assert await connection.fetchval(_QUERIES, owner_pid) == "<insufficient privilege>"


async def test_logins_have_their_limits(place: Place) -> None:
    for login in ROLES:
        async with connected(place.dsn("migrated", login)) as connection:
            assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "1min"
            bounded = await connection.fetchval("SHOW statement_timeout")
        assert (bounded == "5min") == (login not in {ROLES[0], "passbook_reader"})
