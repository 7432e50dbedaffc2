"""What runs with the owner's rights does what it says, whatever its caller hands it."""

from typing import Final

import asyncpg
import pytest

from tests.integration.privileges.conftest import STATES, Place
from tests.support.databases import connected

_DEFINERS: Final = """
SELECT p.proname, p.proconfig, pg_get_userbyid(p.proowner) = pg_get_userbyid(n.nspowner) AS owned,
       n.nspname
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE p.prosecdef AND n.nspname !~ '^(pg_|information_schema)'
 ORDER BY p.proname
"""
_KNOWN: Final = (
    *("append", "archive", "refuse_behind", "restore_events", "save_snapshots", "settle"),
    *("settled", "unarchive"),
)
_TYPES: Final = {
    "p_slots": "smallint",
    "p_expected_heads": "bigint",
    "p_streams": "uuid",
    "p_expected_versions": "integer",
    "e_slot": "smallint",
    "e_stream_id": "uuid",
    "e_version": "integer",
    "e_event_id": "uuid",
    "e_event_type": "text",
    "e_schema_version": "smallint",
    "e_data": "jsonb",
    "e_metadata": "jsonb",
    "e_occurred_at": "timestamptz",
    "c_command_id": "uuid",
    "c_request_hash": "bytea",
    "c_stream_id": "uuid",
    "c_version": "integer",
    "c_event_ids": "text",
    "c_error_code": "text",
    "c_error_message": "text",
    "c_decided_at": "timestamptz",
}
_ONE_EVENT: Final = {
    "e_slot": "{9}",
    "e_stream_id": "{00000000-0000-0000-0000-000000000009}",
    "e_version": "{1}",
    "e_event_id": "{00000000-0000-0000-0000-000000000009}",
    "e_event_type": "{AccountOpened}",
    "e_schema_version": "{1}",
    "e_data": '{"{}"}',
    "e_metadata": '{"{}"}',
    "e_occurred_at": "{2026-01-01}",
}
_SHADOWS: Final = (
    "CREATE TEMPORARY TABLE slots (slot smallint, head bigint, last_recorded_at timestamptz)",
    "CREATE TEMPORARY TABLE events (LIKE eventstore.events)",
    "CREATE TEMPORARY TABLE commands (LIKE eventstore.commands)",
    "CREATE TEMPORARY TABLE snapshots (LIKE eventstore.snapshots)",
    "CREATE FUNCTION pg_temp.clock_timestamp() RETURNS timestamptz RETURN timestamptz '2000-01-01'",
    "GRANT ALL ON slots, events, commands, snapshots TO PUBLIC",
    "INSERT INTO slots VALUES (9, 1000)",
    "SET search_path = pg_temp, public",
)


def _append(**arguments: str) -> str:
    given = ", ".join(
        f"{name} => '{arguments.get(name, '{}')}'::{kind}[]" for name, kind in _TYPES.items()
    )
    return f"SELECT slot, head, recorded_at FROM eventstore.append({given})"


@pytest.mark.parametrize("state", STATES)
async def test_their_search_path_is_pinned_and_temporary_tables_come_last(
    place: Place, state: str
) -> None:
    async with connected(place.dsn(state)) as owner:
        found = await owner.fetch(_DEFINERS)

    assert tuple(row["proname"] for row in found) == _KNOWN
    for name, settings, owned, schema in found:
        assert owned, name
        assert f"search_path={schema}, pg_catalog, pg_temp" in settings, name


async def test_temporary_tables_and_a_search_path_of_ones_own_fool_nobody(place: Place) -> None:
    """Where somebody may make them, as on a database that was not migrated by its owner."""
    async with connected(place.dsn("migrated")) as owner:
        await owner.execute("GRANT TEMPORARY ON DATABASE migrated TO passbook_command_service")
        try:
            async with connected(place.dsn("migrated", "passbook_command_service")) as service:
                for statement in _SHADOWS:
                    await service.execute(statement)
                head = await service.fetchval("SELECT head FROM eventstore.slots WHERE slot = 9")
                with pytest.raises(asyncpg.PostgresError, match="slot moved") as refusal:
                    await service.execute(_append(p_slots="{9}", p_expected_heads="{1000}"))
                assert refusal.value.detail == f"slot 9: expected head 1000, found {head}"
                # Not the caller's clock, by which everything is in the future.
                assert (
                    await service.fetchval("SELECT eventstore.settle(9::smallint, '2020-01-01')")
                    is None
                )
                assert await service.fetchval("SELECT count(*) FROM pg_temp.events") == 0
        finally:
            await owner.execute(
                "REVOKE TEMPORARY ON DATABASE migrated FROM passbook_command_service"
            )


@pytest.mark.parametrize(
    ("arguments", "sqlstate"),
    [
        ({}, "23502"),  # a slot that is not locked has no number to give
        ({"p_slots": "{9}", "p_expected_heads": "{NULL}", "e_version": "{0}"}, "23514"),
        ({"p_slots": "{9}", "p_expected_heads": "{-1}"}, "PB001"),
        ({"p_slots": "{99}", "p_expected_heads": "{0}", "e_slot": "{99}"}, "PB001"),
        ({"p_slots": "{9}", "p_expected_heads": "{NULL}", "e_data": "{}"}, "23502"),
        ({"p_slots": "{9}", "p_expected_heads": "{NULL}", "e_event_id": "{}"}, "23502"),
    ],
)
async def test_append_takes_nothing_that_breaks_the_log(
    place: Place, arguments: dict[str, str], sqlstate: str
) -> None:
    async with connected(place.dsn("migrated", "passbook_command_service")) as service:
        with pytest.raises(asyncpg.PostgresError) as refusal:
            await service.execute(_append(**{**_ONE_EVENT, **arguments}))
        assert refusal.value.sqlstate == sqlstate


async def test_text_that_looks_like_sql_is_text(place: Place) -> None:
    hostile = "x''); DROP TABLE eventstore.events; --"
    event = _ONE_EVENT | {"e_event_type": f'{{"{hostile}"}}'}
    async with connected(place.dsn("migrated", "passbook_command_service")) as service:
        transaction = service.transaction()
        await transaction.start()
        await service.execute(_append(p_slots="{9}", p_expected_heads="{NULL}", **event))
        stored = await service.fetchval(
            "SELECT event_type FROM eventstore.events ORDER BY recorded_at DESC LIMIT 1"
        )
        await transaction.rollback()
    assert stored == hostile.replace("''", "'")


async def test_a_reader_cannot_push_the_log_into_the_future(place: Place) -> None:
    """`settle` is the one thing that a reader changes: a time, up to now."""
    async with connected(place.dsn("migrated", "passbook_query_api")) as reader:
        before = await reader.fetch("SELECT slot, head, last_recorded_at FROM eventstore.slots")
        assert (
            await reader.fetchval("SELECT eventstore.settle(1::smallint, 'infinity')") is not None
        )
        assert await reader.fetchval(
            "SELECT eventstore.settle(1::smallint, now() + interval '1 s')"
        )
        with pytest.raises(asyncpg.NoDataFoundError):
            await reader.execute("SELECT eventstore.settle(64::smallint, now())")
        after = await reader.fetch("SELECT slot, head, last_recorded_at FROM eventstore.slots")
    assert after == before


async def test_a_snapshot_of_what_is_not_in_the_log_is_not_stored(place: Place) -> None:
    async with connected(place.dsn("migrated", "passbook_command_service")) as service:
        stored = await service.fetchval(
            "SELECT eventstore.save_snapshots(ARRAY[gen_random_uuid()], '{1}', '{1}',"
            " ARRAY['{}'::jsonb], ARRAY[sha256('')])"
        )
    assert stored == 0
