"""What a service cannot work with it refuses at its start, with exit code 78 and a sentence that says
what to do; `passbook doctor` finds the same. A server that is merely away is waited for: see test_waiting.py.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from passbook.cli.checks.finding import State
from passbook.service import EXIT_CONFIGURATION
from tests.support.damage import NOT_DURABLE, OLD_SERVER, OTHER_CLOCK, SERIALIZABLE
from tests.support.doctor import findings
from tests.support.pooler import pooler
from tests.support.world import AUDIT, BALANCES, COMMAND_SERVICE, RELAY, World

QUERY_API: Final = "query-api"
_ENDED_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Case:
    """A world in which `service` cannot work: after `damage` by the owner, and with `settings`. It
    says `sentence`, and the doctor's finding of the name `found` is a failure, if there is one.
    """

    service: str
    sentence: str
    damage: str = ""
    found: str = ""
    settings: dict[str, str] = field(default_factory=dict)


CASES: Final = {
    "durability": Case(
        COMMAND_SERVICE,
        "synchronous_commit is off: commits could be lost; turn it on",
        NOT_DURABLE,
        "durability",
    ),
    "isolation": Case(
        RELAY,
        "default_transaction_isolation is serializable: set it to read committed for the login",
        SERIALIZABLE,
        "postgresql",
    ),
    "server version": Case(
        BALANCES, "this is PostgreSQL 17: use 18 or newer", OLD_SERVER, "postgresql"
    ),
    "clock": Case(
        COMMAND_SERVICE,
        "the clocks of this machine and of PostgreSQL are 7 s apart: set both by NTP",
        OTHER_CLOCK,
        "clock",
    ),
    "event store not migrated": Case(
        AUDIT,
        "not migrated: eventstore 0005_least_privilege; run `passbook migrate`",
        "DELETE FROM passbook.migrations WHERE component = 'eventstore' AND version = 5",
        "event store schema",
    ),
    "read models not migrated": Case(
        BALANCES,
        "not migrated: projections 0004_least_privilege; run `passbook migrate`",
        "DELETE FROM passbook.migrations WHERE component = 'projections' AND version = 4",
        "read model schema",
    ),
    "newer schema": Case(
        QUERY_API,
        "it was migrated by a newer Passbook; run that one",
        "INSERT INTO passbook.migrations VALUES ('eventstore', 99, 'x', 'x')",
        "event store schema",
    ),
    "guards": Case(
        RELAY,
        "trigger events_are_append_only of eventstore.events, .* is off or gone: the log could be changed",
        "ALTER TABLE eventstore.events DISABLE TRIGGER USER",
        "guards",
    ),
    "guards that are gone": Case(
        COMMAND_SERVICE,
        "trigger events_are_append_only of eventstore.events is off or gone: the log could be",
        "DROP TRIGGER events_are_append_only ON eventstore.events",
        "guards",
    ),
    "slots": Case(
        RELAY,
        "the store has 32 slots, this code 64",
        "UPDATE eventstore.store_info SET slot_count = 32",
        "slots",
    ),
    "rights of the command service": Case(
        COMMAND_SERVICE,
        "may not EXECUTE eventstore.append: log in as passbook_command_service",
        "REVOKE EXECUTE ON FUNCTION eventstore.append FROM passbook_command_service",
        "login",
    ),
    "rights of the relay": Case(
        RELAY,
        "may not UPDATE eventstore.relay_positions: log in as passbook_outbox_relay",
        "REVOKE UPDATE ON eventstore.relay_positions FROM passbook_outbox_relay",
        "login",
    ),
    "rights on the schema": Case(
        RELAY,
        "may not SELECT eventstore.store_info, .*: log in as passbook_outbox_relay",
        "REVOKE USAGE ON SCHEMA eventstore FROM passbook_outbox_relay",
        "login",
    ),
    "rights of the balance projector": Case(
        BALANCES,
        "may not INSERT projections.parked, UPDATE projections.parked: log in as",
        "REVOKE INSERT, UPDATE ON projections.parked FROM passbook_balance_projector",
        "read model login",
    ),
    "rights of the balance projector on its rows": Case(
        BALANCES,
        "may not UPDATE balances.accounts: log in as passbook_balance_projector",
        "REVOKE UPDATE ON balances.accounts FROM passbook_balance_projector",
        "read model login",
    ),
    "rights of the audit projector": Case(
        AUDIT,
        "may not INSERT audit.entries: log in as passbook_audit_projector",
        "REVOKE INSERT ON audit.entries FROM passbook_audit_projector",
        "read model login",
    ),
    "rights of the query API": Case(
        QUERY_API,
        "may not SELECT eventstore.commands: log in as passbook_query_api",
        "REVOKE SELECT ON eventstore.commands FROM passbook_reader",
        "login",
    ),
    "environment of a projector": Case(
        AUDIT,
        "projection audit was built from event store .*: use the read models that belong to it",
        "UPDATE projections.installed SET environment_id = gen_random_uuid()",
        "read models",
    ),
    "environment of the query API": Case(
        QUERY_API,
        "balance: built from another event store than .*: use the read models that belong to it",
        "UPDATE projections.installed SET environment_id = gen_random_uuid()",
        "read models",
    ),
    "version of a projection": Case(
        BALANCES,
        "projection balance 2 is not installed; migrate",
        "UPDATE projections.installed SET version = 7 WHERE projection = 'balance'",
        "read models",
    ),
    "inline projection": Case(
        COMMAND_SERVICE,
        "run `passbook migrate`",
        settings={"PASSBOOK_INLINE_PROJECTIONS": "balance"},
        found="inline read models",
    ),
    "topics": Case(
        COMMAND_SERVICE,
        "4 partitions, expected 8",
        settings={"PASSBOOK_TOPIC_PARTITIONS": "8"},
        found="topics",
    ),
    "Kafka's security": Case(
        RELAY,
        "PASSBOOK_KAFKA_SECURITY_PROTOCOL and its like: ",
        settings={"PASSBOOK_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"},
        found="kafka",
    ),
    "no tokens": Case(
        QUERY_API,
        "PASSBOOK_JWT_JWKS is not set: .*; set it, or listen on 127.0.0.1",
        settings={"PASSBOOK_HTTP_HOST": "0.0.0.0"},  # noqa: S104 - which is what is refused
    ),
    "a number that is none": Case(
        AUDIT,
        "PASSBOOK_KAFKA_SESSION_TIMEOUT_S: Input should be a valid number",
        settings={"PASSBOOK_KAFKA_SESSION_TIMEOUT_S": "soon"},
        found="settings",
    ),
    "DSN": Case(
        BALANCES,
        "PASSBOOK_READ_MODEL_DSN is no URL like postgresql://",
        settings={"PASSBOOK_READ_MODEL_DSN": "host=127.0.0.1 dbname=passbook"},
        found="settings",
    ),
    "groups that split partitions": Case(
        RELAY,
        "relay_groups must be a power of two up to 4 partitions",
        settings={"PASSBOOK_RELAY_GROUPS": "3"},
        found="settings",
    ),
    "more groups than partitions": Case(
        RELAY,
        "relay_groups must be a power of two up to 4 partitions",
        settings={"PASSBOOK_RELAY_GROUPS": "8"},
        found="settings",
    ),
    "more replicas in sync than there are": Case(
        COMMAND_SERVICE,
        "TOPIC_MIN_INSYNC_REPLICAS cannot be more than TOPIC_REPLICATION",
        settings={"PASSBOOK_TOPIC_MIN_INSYNC_REPLICAS": "2"},
        found="settings",
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_service_that_cannot_work_refuses_and_the_doctor_finds_why(
    world: World, name: str
) -> None:
    """Each case is the proof of one check: it damages one thing in a world where services run."""
    case = CASES[name]
    if case.damage:
        await world.admin.execute(case.damage.format(database=world.database.name))

    service = world.start(case.service, **case.settings)
    if case.found:
        found = await findings(world, world.dsn(case.service), **case.settings)
        assert found[case.found].state is State.FAILED

    assert await service.ended(_ENDED_S) == EXIT_CONFIGURATION, service.last_words()
    (refused,) = service.logged("service.refused")
    assert re.search(case.sentence, refused["error"]), refused
    assert "Traceback" not in service.log.read_text()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"", "empty"),
        (b"canary\xff\xfe", "not a text"),
        (b"canary-7d1f", "is no URL like postgresql://"),
    ],
)
async def test_a_secret_that_cannot_be_read_is_refused_and_not_told(
    world: World, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "dsn"
    if content is not None:
        file.write_bytes(content)
    # An empty variable, as compose files leave one, is none.
    service = world.start(
        RELAY, PASSBOOK_EVENT_STORE_DSN="", PASSBOOK_EVENT_STORE_DSN_FILE=str(file)
    )

    assert await service.ended(_ENDED_S) == EXIT_CONFIGURATION
    (refused,) = service.logged("service.refused")
    assert "PASSBOOK_EVENT_STORE_DSN_FILE" in refused["error"]
    assert reason in refused["error"]
    assert "canary" not in service.log.read_text()


async def test_a_pooler_is_refused_by_the_relay(world: World) -> None:
    """It shares sessions among its clients, and with them the locks that say who leads.

    A relay that is connected directly runs: see test_logins.py.
    """
    async with pooler(world.dsn(RELAY)) as dsn:
        relay = world.start(RELAY, dsn=dsn)
        found = await findings(world, dsn)
        assert await relay.ended(_ENDED_S) == EXIT_CONFIGURATION
    assert found["sessions"].state is State.FAILED
    (refused,) = relay.logged("service.refused")
    assert "let PASSBOOK_EVENT_STORE_DSN name PostgreSQL itself" in refused["error"]
