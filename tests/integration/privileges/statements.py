"""Which login may run which statement: one row a statement, with the logins that may."""

from collections.abc import Mapping
from typing import Final

COMMAND, RELAY, BALANCE, AUDIT, READER, QUERY = (
    "passbook_command_service",
    "passbook_outbox_relay",
    "passbook_balance_projector",
    "passbook_audit_projector",
    "passbook_reader",
    "passbook_query_api",
)
Who = frozenset[str]
NOBODY: Final[Who] = frozenset()
READERS: Final = frozenset({READER, QUERY})
PROJECTORS: Final = frozenset({BALANCE, AUDIT})
SERVICES: Final = frozenset({COMMAND, RELAY}) | PROJECTORS | READERS
EVERYBODY: Final = SERVICES | {"passbook_test_stranger"}

_READ: Final[Mapping[str, Who]] = {
    "eventstore.store_info": SERVICES,
    "eventstore.slots": SERVICES,
    "eventstore.events": SERVICES,
    "eventstore.commands": READERS | {COMMAND},
    "eventstore.snapshots": READERS | {COMMAND},
    "eventstore.relay_positions": SERVICES,
    "eventstore.archives": READERS | {COMMAND},
    "eventstore.archive_segments": SERVICES,
    "eventstore.archived_streams": SERVICES,
    "projections.installed": PROJECTORS | READERS,
    "projections.positions": PROJECTORS | READERS,
    "projections.parked": PROJECTORS | READERS,
    "balances.accounts": READERS | {BALANCE},
    "audit.entries": READERS | {AUDIT},
    "passbook.migrations": EVERYBODY,
}
_INSERT: Final[Mapping[str, Who]] = {
    "eventstore.relay_positions": frozenset({RELAY}),
    "projections.parked": frozenset({BALANCE}),
    "balances.accounts": frozenset({BALANCE}),
    "audit.entries": frozenset({AUDIT}),
}
_UPDATE: Final[Mapping[str, Mapping[str, Who]]] = {
    "eventstore.store_info": {"environment_id": NOBODY},
    "eventstore.slots": {"head": NOBODY, "last_recorded_at": NOBODY},
    "eventstore.events": {"data": NOBODY, "slot_seq": NOBODY},
    "eventstore.commands": {"request_hash": NOBODY, "error_code": NOBODY},
    "eventstore.snapshots": {"state": NOBODY},
    "eventstore.relay_positions": {
        "slot": NOBODY,
        "published_seq": frozenset({RELAY}),
        "partition": frozenset({RELAY}),
        "kafka_offset": frozenset({RELAY}),
        "topic": frozenset({RELAY}),
        "updated_at": frozenset({RELAY}),
    },
    "eventstore.archives": {"sha256": NOBODY},
    "eventstore.archive_segments": {"file": NOBODY},
    "eventstore.archived_streams": {"version": NOBODY},
    "projections.installed": {
        "environment_id": PROJECTORS,
        "version": NOBODY,
        "copy_of": NOBODY,
        "projection": NOBODY,
    },
    "projections.positions": {
        "slot_seq": PROJECTORS,
        "slot": NOBODY,
        "generation": NOBODY,
        "projection": NOBODY,
    },
    "projections.parked": {
        "events": frozenset({BALANCE}),
        "reason": NOBODY,
        "account_id": NOBODY,
    },
    "balances.accounts": {"balance": frozenset({BALANCE}), "owner": frozenset({BALANCE})},
    "audit.entries": {"data": NOBODY, "hash": NOBODY},
    "passbook.migrations": {"checksum": NOBODY},
}


def _arrays(*types: str) -> str:
    return ", ".join(f"'{{}}'::{kind}[]" for kind in types)


_APPENDED: Final = _arrays(
    *("smallint", "bigint", "uuid", "integer"),
    *("smallint", "uuid", "integer", "uuid", "text", "smallint", "jsonb", "jsonb", "timestamptz"),
    *("uuid", "bytea", "uuid", "integer", "text", "text", "text", "timestamptz"),
)
_FUNCTIONS: Final[Mapping[str, Who]] = {
    f"eventstore.append({_APPENDED})": frozenset({COMMAND}),
    "eventstore.settle(0::smallint, '2000-01-01')": READERS | {COMMAND},
    "eventstore.settled(0::smallint)": NOBODY,
    "eventstore.recorded(gen_random_uuid(), 1)": READERS | {COMMAND},
    "eventstore.newest_snapshots('{}', '{}', 1, NULL)": READERS | {COMMAND},
    f"eventstore.save_snapshots({_arrays('uuid', 'integer', 'integer', 'jsonb', 'bytea')})": (
        frozenset({COMMAND})
    ),
    f"eventstore.archive(1, '', '', NULL, {', '.join(['NULL'] * 11)})": NOBODY,
    "eventstore.unarchive(1, '{}', '{}', '{}')": NOBODY,
    f"eventstore.restore_events({', '.join(['NULL'] * 11)})": NOBODY,
    "projections.drop_copy('x', 'x')": NOBODY,
    "projections.grant_alike('balances', 'balances')": NOBODY,
    "projections.analyze_copy('balances')": NOBODY,
    "projections.count_rows('balances', 'balances')": NOBODY,
    "projections.differences('balances', 'balances', 1)": NOBODY,
    "projections.guard_inline('x', 'passbook_reader')": NOBODY,
    "projections.remove_inline('x', 'x')": NOBODY,
    "projections.swap('x', 'y', 'z', 'x', 'y', 'z')": NOBODY,
}


def _tables() -> dict[str, Who]:
    rows: dict[str, Who] = {}
    for table, readers in _READ.items():
        writers = _INSERT.get(table, NOBODY)
        changers = _UPDATE[table]
        rows[f"SELECT 1 FROM {table}"] = readers
        rows[f"COPY {table} TO STDOUT"] = readers
        rows[f"LOCK TABLE {table} IN ACCESS SHARE MODE"] = readers
        rows[f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"] = NOBODY
        rows[f"SELECT 1 FROM {table} FOR SHARE"] = frozenset().union(*changers.values())
        rows[f"INSERT INTO {table} DEFAULT VALUES"] = writers
        for column, may in changers.items():
            rows[f"UPDATE {table} SET {column} = {column}"] = may
        rows[f"DELETE FROM {table}"] = NOBODY
        rows[f"TRUNCATE {table} CASCADE"] = NOBODY
        rows[f"ALTER TABLE {table} DISABLE TRIGGER ALL"] = NOBODY
        rows[f"GRANT INSERT ON {table} TO PUBLIC"] = NOBODY
    return rows


_DEFINITIONS: Final = (
    "CREATE TABLE public.x ()",
    "CREATE TABLE eventstore.x ()",
    "CREATE TABLE projections.x ()",
    "CREATE TABLE balances.x ()",
    "CREATE TEMPORARY TABLE slots (slot smallint, head bigint)",
    "CREATE SCHEMA x",
    "CREATE FUNCTION public.x() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    (
        "CREATE OR REPLACE FUNCTION eventstore.recorded(p_stream_id uuid, p_version integer)"
        " RETURNS TABLE (slot smallint, slot_seq bigint) LANGUAGE sql AS 'SELECT 1::smallint, 1'"
    ),
    (
        "CREATE TRIGGER x BEFORE INSERT ON eventstore.events"
        " EXECUTE FUNCTION eventstore.refuse_change()"
    ),
    "CREATE RULE x AS ON INSERT TO eventstore.events DO INSTEAD NOTHING",
    "CREATE INDEX ON eventstore.events (version)",
    "CREATE VIEW public.x AS SELECT 1",
    "CREATE FOREIGN DATA WRAPPER x",
    "CREATE PUBLICATION x FOR ALL TABLES",
    "CREATE SUBSCRIPTION x CONNECTION 'dbname=x' PUBLICATION x WITH (connect = false)",
    "DROP TABLE eventstore.events CASCADE",
    "DROP TRIGGER events_leave_on_record ON eventstore.events",
    "DROP FUNCTION eventstore.settled",
    "DROP SCHEMA audit CASCADE",
    "ALTER SCHEMA balances RENAME TO x",
    "ALTER FUNCTION eventstore.settled OWNER TO CURRENT_USER",
    "ALTER FUNCTION eventstore.settled SECURITY INVOKER",
    "ALTER TABLE eventstore.events OWNER TO CURRENT_USER",
    "ALTER DEFAULT PRIVILEGES FOR ROLE passbook GRANT ALL ON TABLES TO PUBLIC",
    "COMMENT ON TABLE eventstore.events IS ''",
    "REINDEX TABLE eventstore.events",
    "INSERT INTO eventstore.events (slot, slot_seq) OVERRIDING SYSTEM VALUE VALUES (0, 1)",
    (
        "MERGE INTO eventstore.slots s USING (VALUES (0)) v(slot) ON s.slot = v.slot"
        " WHEN MATCHED THEN UPDATE SET head = 0"
    ),
)
_SERVER: Final = (
    "SET ROLE passbook_command_service",
    "SET ROLE passbook",
    "SET SESSION AUTHORIZATION passbook",
    "GRANT passbook_command_service TO passbook_test_stranger",
    "GRANT EXECUTE ON FUNCTION eventstore.append TO PUBLIC",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE CURRENT_USER CREATEROLE",
    "ALTER ROLE passbook_reader PASSWORD 'x'",
    "ALTER ROLE passbook PASSWORD 'x'",
    "CREATE ROLE x",
    "DROP ROLE passbook_reader",
    "SET session_replication_role = replica",
    "SET log_statement = 'none'",
    "SET allow_system_table_mods = on",
    "ALTER DATABASE {database} SET fsync = off",
    "ALTER DATABASE {database} OWNER TO CURRENT_USER",
    "SELECT rolpassword FROM pg_authid",
    "SELECT passwd FROM pg_shadow",
    "SELECT * FROM pg_hba_file_rules",
    "SELECT * FROM pg_file_settings",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT pg_read_binary_file('/etc/hostname')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_stat_file('PG_VERSION')",
    "COPY audit.entries TO '/dev/null'",
    "COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'",
    "COPY audit.entries FROM '/dev/null'",
    "SELECT lo_create(0)",
    "SELECT lo_creat(-1)",
    "SELECT lo_from_bytea(0, '')",
    "SELECT lo_import('/etc/hostname')",
    "SELECT pg_terminate_backend({owner_pid})",
    "SELECT pg_cancel_backend({owner_pid})",
    "SELECT pg_reload_conf()",
    "SELECT pg_rotate_logfile()",
    "SELECT pg_switch_wal()",
    "SELECT pg_create_restore_point('x')",
    "SELECT pg_create_logical_replication_slot('x', 'pgoutput')",
    "SELECT pg_stat_reset()",
    "SELECT pg_log_backend_memory_contexts({owner_pid})",
    "CHECKPOINT",
)
_LEFT: Final = (
    # What a login cannot be kept from. None of it changes the log or a read model.
    "ALTER ROLE CURRENT_USER PASSWORD 'x'",
    "SET statement_timeout = 0",
    "SET idle_in_transaction_session_timeout = 0",
    "SELECT pg_advisory_xact_lock(1)",
    "SELECT pg_notify('passbook_events', '')",
    "LISTEN passbook_events",
    "DO 'BEGIN END'",
    "SELECT rolname FROM pg_roles",
    "SELECT query FROM pg_stat_activity",
    "SELECT prosrc FROM pg_proc",
    "SELECT pg_database_size(current_database())",
)
_OLD: Final[Mapping[str, Who]] = {
    "SELECT 1 FROM balances_old.accounts": READERS | {BALANCE},
    "INSERT INTO balances_old.accounts DEFAULT VALUES": frozenset({BALANCE}),
    "DELETE FROM balances_old.accounts": NOBODY,
    "TRUNCATE balances_old.accounts": NOBODY,
    "DROP SCHEMA balances_old CASCADE": NOBODY,
    "CREATE TABLE balances_old.x ()": NOBODY,
}
_INLINE: Final[Mapping[str, Who]] = {
    "SELECT 1 FROM inline_balances.accounts": READERS | {COMMAND},
    "INSERT INTO inline_balances.accounts DEFAULT VALUES": frozenset({COMMAND}),
    "UPDATE inline_balances.accounts SET balance = balance": frozenset({COMMAND}),
    "DELETE FROM inline_balances.accounts": NOBODY,
    "TRUNCATE inline_balances.accounts": NOBODY,
    "DROP SCHEMA inline_balances CASCADE": NOBODY,
    "DROP TRIGGER inline_balance_is_current ON eventstore.slots": NOBODY,
    # Whoever appends has to move the positions with it.
    "SELECT 1 FROM projections.installed": PROJECTORS | READERS | {COMMAND},
    "COPY projections.installed TO STDOUT": PROJECTORS | READERS | {COMMAND},
    "LOCK TABLE projections.installed IN ACCESS SHARE MODE": PROJECTORS | READERS | {COMMAND},
    "SELECT 1 FROM projections.positions": PROJECTORS | READERS | {COMMAND},
    "COPY projections.positions TO STDOUT": PROJECTORS | READERS | {COMMAND},
    "LOCK TABLE projections.positions IN ACCESS SHARE MODE": PROJECTORS | READERS | {COMMAND},
    "SELECT 1 FROM projections.positions FOR SHARE": PROJECTORS | {COMMAND},
    "UPDATE projections.positions SET slot_seq = slot_seq": PROJECTORS | {COMMAND},
}


def matrix(state: str) -> dict[str, Who]:
    """Return statement → the logins that may run it, on a database in this state."""
    return {
        **_tables(),
        **{f"SELECT {call}": who for call, who in _FUNCTIONS.items()},
        **dict.fromkeys(_DEFINITIONS, NOBODY),
        **dict.fromkeys(_SERVER, NOBODY),
        # What comes with the right to change any column; no more than it can do with the rows.
        "LOCK TABLE balances.accounts IN ACCESS EXCLUSIVE MODE": frozenset({BALANCE}),
        "SET ROLE passbook_reader": READERS,
        "SET ROLE passbook_command_service": frozenset({COMMAND}),
        "ALTER ROLE passbook_reader PASSWORD 'x'": frozenset({READER}),
        **dict.fromkeys(_LEFT, EVERYBODY),
        **(_OLD if state == "rebuilt" else {}),
        **(_INLINE if state == "inline" else {}),
    }
