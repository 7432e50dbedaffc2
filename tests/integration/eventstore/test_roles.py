"""What each login may do, tried by logging in: its verbs, and nothing else."""

from typing import Final

import asyncpg
import pytest

from passbook.migrations import ROLES
from tests.support.databases import Connect

_APPEND: Final = "SELECT eventstore.append({})".format(
    ", ".join(
        f"'{{}}'::{kind}[]"
        for kind in (
            *("smallint", "bigint", "uuid", "integer"),
            *("smallint", "uuid", "integer", "uuid", "text", "smallint", "jsonb", "jsonb"),
            *("timestamptz", "uuid", "bytea", "uuid", "integer", "text", "text", "text"),
            "timestamptz",
        )
    )
)
_COMMAND, _RELAY, _BALANCE, _AUDIT, _READER, _HTTP = ROLES
_EVERYBODY: Final = frozenset(ROLES)
_NOBODY: Final[frozenset[str]] = frozenset()

_VERBS: Final = {
    "SELECT FROM eventstore.events": _EVERYBODY,
    "SELECT FROM eventstore.commands": _EVERYBODY,
    "SELECT FROM eventstore.slots": _EVERYBODY,
    "SELECT FROM eventstore.store_info": _EVERYBODY,
    "SELECT FROM eventstore.relay_positions": _EVERYBODY,
    "SELECT FROM passbook.migrations": _EVERYBODY,
    "SELECT FROM eventstore.archives": _EVERYBODY,
    "SELECT FROM eventstore.archive_segments": _EVERYBODY,
    "SELECT FROM eventstore.archived_streams": _EVERYBODY,
    _APPEND: {_COMMAND},
    "SELECT eventstore.settled(0::smallint)": {_COMMAND, _READER, _HTTP},
    "INSERT INTO eventstore.relay_positions VALUES (0, 1, 0, 0)": {_RELAY},
    "UPDATE eventstore.relay_positions SET published_seq = 1": {_RELAY},
    "SELECT FROM projections.positions": {_BALANCE, _AUDIT, _READER, _HTTP},
    "UPDATE projections.positions SET slot_seq = 1": {_BALANCE, _AUDIT},
    "UPDATE projections.installed SET environment_id = NULL": {_BALANCE, _AUDIT},
    "INSERT INTO projections.parked VALUES ('balance', gen_random_uuid(), 0, 1, '')": {
        _BALANCE,
        _AUDIT,
    },
    "SELECT FROM balances.accounts": {_BALANCE, _READER, _HTTP},
    "UPDATE balances.accounts SET balance = 1": {_BALANCE},
    "INSERT INTO balances.accounts (account_id, balance, version, slot, opened_at, updated_at,"
    " status, owner_name) VALUES (gen_random_uuid(), 1, 1, 0, now(), now(), 'active', '')": {
        _BALANCE
    },
    "SELECT FROM audit.entries": {_AUDIT, _READER, _HTTP},
    "INSERT INTO audit.entries (slot, slot_seq, version, schema_version, event_id, account_id,"
    " occurred_at, recorded_at, event_type, data, actor, command_id, correlation_id, prev_hash, hash)"
    " VALUES (0, 1, 1, 1, gen_random_uuid(), gen_random_uuid(), now(), now(),"
    " '', '{}', '', '', '', '', '')": {_AUDIT},
}
_OF_THE_OWNER: Final = (
    "SELECT eventstore.archive(1, '', '', NULL, {})".format(", ".join(["'{}'"] * 11)),
    "SELECT eventstore.unarchive(1, '{}', '{}', '{}')",
    "SELECT eventstore.restore_events({})".format(", ".join(["'{}'"] * 11)),
)
_REFUSED: Final = (
    *(
        f"{verb} eventstore.{table}{rest}"
        for table in (
            *("events", "commands", "slots", "store_info"),
            *("archives", "archive_segments", "archived_streams"),
        )
        for verb, rest in (
            ("INSERT INTO", " DEFAULT VALUES"),
            ("DELETE FROM", ""),
            ("TRUNCATE", " CASCADE"),
            ("LOCK TABLE", " IN ACCESS EXCLUSIVE MODE"),
        )
    ),
    "UPDATE eventstore.events SET version = 1",
    "UPDATE eventstore.commands SET version = 1",
    "UPDATE eventstore.slots SET head = 0",
    "UPDATE eventstore.store_info SET slot_count = 1",
    "UPDATE eventstore.archived_streams SET version = 1",
    *_OF_THE_OWNER,
    "SELECT FROM eventstore.slots FOR UPDATE",
    "DELETE FROM eventstore.relay_positions",
    "DELETE FROM projections.positions",
    "DELETE FROM projections.parked",
    "UPDATE projections.positions SET projection = 'x'",
    "UPDATE projections.installed SET version = 7",
    "DELETE FROM balances.accounts",
    "TRUNCATE balances.accounts",
    "UPDATE audit.entries SET data = '{}'",
    "DELETE FROM audit.entries",
    "TRUNCATE audit.entries",
    "DELETE FROM passbook.migrations",
    "ALTER TABLE eventstore.events DISABLE TRIGGER ALL",
    "DROP TRIGGER events_are_append_only ON eventstore.events",
    "SET session_replication_role = replica",
    "CREATE TABLE eventstore.x ()",
    "CREATE TABLE public.x ()",
    "CREATE SCHEMA x",
    "CREATE ROLE passbook_test_nobody",
    "COPY eventstore.events FROM '/dev/null'",
)


async def _may(connection: asyncpg.Connection, statement: str) -> bool:
    """Try a statement and take it back."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return False
    except asyncpg.IntegrityConstraintViolationError:
        return True
    finally:
        await transaction.rollback()
    return True


@pytest.mark.parametrize("role", ROLES)
async def test_a_login_has_its_verbs_and_no_others(connect: Connect, role: str) -> None:
    """Seen to fail: with `GRANT INSERT ON eventstore.events` to one role, and with the right to
    call `eventstore.append` left to PUBLIC.
    """
    connection = await connect(role)
    may = {statement for statement in _VERBS if await _may(connection, statement)}
    assert may == {statement for statement, roles in _VERBS.items() if role in roles}


@pytest.mark.parametrize("role", ROLES)
async def test_what_nobody_may_is_refused_to_every_login(connect: Connect, role: str) -> None:
    connection = await connect(role)
    assert [statement for statement in _REFUSED if await _may(connection, statement)] == []


async def test_the_owner_may_so_the_statements_are_no_nonsense(connect: Connect) -> None:
    owner = await connect()
    assert [statement for statement in _VERBS if not await _may(owner, statement)] == []


async def test_the_owner_reaches_the_functions_of_the_archive(connect: Connect) -> None:
    owner = await connect()
    archive, unarchive, restore = _OF_THE_OWNER
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute(archive)
    with pytest.raises(asyncpg.PostgresError, match="archive 1 is not the newest"):
        await owner.execute(unarchive)
    await owner.execute(restore)


@pytest.mark.parametrize("role", ROLES)
async def test_a_login_is_nobody_special(connect: Connect, role: str) -> None:
    connection = await connect(role)
    assert await connection.fetchrow(
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
        "  FROM pg_roles WHERE rolname = $1",
        role,
    ) == (False, False, False, False, False)


async def test_a_temporary_table_does_not_fool_the_append_function(connect: Connect) -> None:
    """Seen to fail: without `pg_temp` at the end of the function's search path."""
    connection = await connect("passbook_command_service")
    await connection.execute(
        "CREATE TEMPORARY TABLE slots (slot smallint, head bigint, last_recorded_at timestamptz)"
    )
    await connection.execute("GRANT ALL ON slots TO PUBLIC")
    await connection.execute("INSERT INTO slots VALUES (5, 1000, now())")
    with pytest.raises(asyncpg.PostgresError) as refusal:
        await connection.execute(
            _APPEND.replace("'{}'::smallint[]", "'{5}'::smallint[]", 1).replace(
                "'{}'::bigint[]", "'{1000}'::bigint[]", 1
            )
        )
    assert refusal.value.detail == "slot 5: expected head 1000, found 0"
