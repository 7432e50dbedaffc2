"""The doctor comes to an end, and tells what it found, whatever is the matter."""

import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import pytest

from passbook.cli.checks import finding
from passbook.cli.checks.finding import State
from passbook.cli.logins import QUERY_API
from passbook.embedded.ports import free_port
from tests.support.databases import Connect
from tests.support.doctor import findings
from tests.support.world import World

_SHORT_S: Final = 0.5
_LEAD: Final = "SELECT pg_advisory_lock(hashtext('passbook outbox relay'), 0)"
_OLD: Final = """
INSERT INTO eventstore.events (slot, slot_seq, stream_id, version, event_id, event_type, schema_version,
                               data, metadata, occurred_at, recorded_at)
SELECT 7, 1, gen_random_uuid(), 1, gen_random_uuid(), 'AccountOpened', 1, '{}', '{}', t, t
  FROM (SELECT clock_timestamp() - interval '61 s' AS t)
"""


@pytest.mark.parametrize(
    ("settings", "name", "detail"),
    [
        (
            {"SECURITY_PROTOCOL": "SSL", "SSL_CA": "/nowhere/ca.pem"},
            "kafka",
            "/nowhere/ca.pem: No such file or directory",
        ),
        (
            {"SECURITY_PROTOCOL": "SASL_PLAINTEXT"},
            "kafka",
            "PASSBOOK_KAFKA_SECURITY_PROTOCOL and its like: SASL_PLAINTEXT needs a username and a password",
        ),
        (
            {"SESSION_TIMEOUT_S": "1"},
            "settings",
            "PASSBOOK_KAFKA_SESSION_TIMEOUT_S: Input should be greater than or equal to 6",
        ),
        (
            {"SASL_PASSWORD_FILE": "/nowhere/password", "SECURITY_PROTOCOL": "SASL_SSL"},
            "kafka",
            "PASSBOOK_KAFKA_SASL_PASSWORD_FILE: /nowhere/password: No such file or directory",
        ),
    ],
)
async def test_a_setting_that_cannot_be_used_is_a_finding(
    world: World, settings: dict[str, str], name: str, detail: str
) -> None:
    """Seen to fail: with what is raised not among what a check may raise, the doctor breaks off."""
    kafka = {f"PASSBOOK_KAFKA_{key}": value for key, value in settings.items()}

    found = await findings(world, world.dsn(QUERY_API), **kafka)

    assert found[name].state is State.FAILED
    assert found[name].detail == detail


async def test_a_check_that_waits_for_a_lock_is_cut_off(
    world: World, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail: without a limit it waits for as long as the lock is held."""
    monkeypatch.setattr(finding, "_LONGEST_S", _SHORT_S)
    other = await connect()
    async with other.transaction():
        await other.execute("LOCK TABLE projections.positions IN ACCESS EXCLUSIVE MODE")
        found = await findings(world, world.dsn(QUERY_API))

    assert found["positions"].state is State.FAILED
    assert found["positions"].detail == "no answer within 0.5 s"
    assert "lock" in found["positions"].remedy
    assert found["read models"].state is State.OK


async def test_a_position_ahead_of_the_log_is_a_finding(world: World) -> None:
    """Seen to fail: without comparing positions with the heads of the slots."""
    await world.admin.execute(
        "UPDATE projections.positions SET slot_seq = 3 WHERE projection = 'audit' AND slot = 7"
    )

    found = await findings(world, world.dsn(QUERY_API))

    assert found["positions"].state is State.FAILED
    assert found["positions"].detail == "ahead of the event store: audit in slot 7"


async def test_a_relay_that_does_not_keep_up_is_a_finding(world: World) -> None:
    """Seen to fail: without looking at the age of the oldest event."""
    await world.admin.execute(_LEAD)
    await world.admin.execute(_OLD)
    await world.admin.execute("UPDATE eventstore.slots SET head = 1 WHERE slot = 7")

    found = await findings(world, world.dsn(QUERY_API))

    assert found["relay"].state is State.FAILED
    assert re.fullmatch(r"1 events to publish, the oldest for 6\d s", found["relay"].detail)
    assert found["relay"].remedy == "read the relay's log"


async def test_topics_that_are_missing_are_a_finding(world: World) -> None:
    """Seen to fail: without asking the broker which topics it has."""
    prefix = f"{world.topics.prefix}none."

    found = await findings(world, world.dsn(QUERY_API), PASSBOOK_TOPIC_PREFIX=prefix)

    assert found["topics"].state is State.FAILED
    assert found["topics"].detail.startswith(f"missing: {prefix}commands, {prefix}events, ")
    assert found["topics"].remedy == "run `passbook topics apply`"


async def test_a_kafka_that_is_away_is_a_finding_and_the_rest_is_looked_at(world: World) -> None:
    """Seen to fail: with what the client raises not among what a check may raise."""
    away = f"127.0.0.1:{free_port()}"

    found = await findings(world, world.dsn(QUERY_API), PASSBOOK_KAFKA_BOOTSTRAP=away)

    assert found["kafka"].state is State.FAILED
    assert found["kafka"].detail == f"Kafka: no broker answers at {away}"
    assert "topics" not in found
    assert found["postgresql"].state is State.OK


async def test_a_postgresql_that_is_away_is_a_finding_and_the_rest_is_looked_at(
    world: World,
) -> None:
    """Seen to fail: with what the driver raises not translated."""
    dsn = urlsplit(world.dsn(QUERY_API))
    away = dsn._replace(netloc=f"{dsn.netloc.rpartition(':')[0]}:{free_port()}")

    found = await findings(world, urlunsplit(away))

    assert found["postgresql"].state is State.FAILED
    assert found["postgresql"].detail.startswith("PostgreSQL: ")
    assert "PASSBOOK_EVENT_STORE_DSN" in found["postgresql"].remedy
    assert found["topics"].state is State.OK
