"""Everything on a Kafka that is as it should be: each service as its own user, and no others."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from passbook.cli.logins import OF_SERVICE
from passbook.client import AccountOpened, BankUnreachable, PassbookClient
from passbook.messaging.acls import PRINCIPALS, Acl, Kind, Operation, Right, acls
from passbook.messaging.admin import kafka_admin
from passbook.messaging.authorizer import create_acls, delete_acls, known_acls
from passbook.messaging.security import KafkaSecurity, KafkaServers
from passbook.messaging.topics import Topics, apply_topics
from tests.support.certificates import Authority
from tests.support.databases import Connect, Database
from tests.support.outsider import Outsider
from tests.support.program import Ended, Program
from tests.support.secured import PASSWORD, REAUTHENTICATION_MS, SecuredKafka
from tests.support.until import until
from tests.support.world import World, cleared

SECRET = PASSWORD.format("")


@pytest.fixture
def topics() -> Topics:
    """Give topics that nobody else uses, and that are not there yet."""
    return Topics(f"run-{secrets.token_hex(4)}.", 4)


@pytest.fixture(autouse=True)
async def _no_acls_are_left(secured: SecuredKafka) -> AsyncIterator[None]:
    """Take all rights away: those on one test's topics would be too much in another's."""
    yield
    async with kafka_admin(secured.as_admin) as admin:
        await delete_acls(admin, await known_acls(admin))


@pytest.fixture
def settings(database: Database, topics: Topics, tmp_path: Path) -> dict[str, str]:
    """Give the settings of the command line that have nothing to do with Kafka's security."""
    return {
        "PASSBOOK_EVENT_STORE_DSN": database.dsn("passbook_reader"),
        "PASSBOOK_TOPIC_PREFIX": topics.prefix,
        "PASSBOOK_TOPIC_PARTITIONS": str(topics.partitions),
        "PASSBOOK_DATA_DIR": str(tmp_path / "none"),
    }


@pytest.fixture
async def world(
    secured: SecuredKafka,
    topics: Topics,
    database: Database,
    connect: Connect,
    tmp_path: Path,
) -> AsyncIterator[World]:
    """Give a ledger on the secured Kafka, with topics and ACLs, and no running service."""
    async with kafka_admin(secured.as_admin) as admin:
        await apply_topics(admin, topics)
        await create_acls(admin, acls(topics))
    outsider = Outsider(secured.bootstrap, topics.prefix, topics.partitions)
    world = World(database, await connect(), secured.bootstrap, topics, tmp_path, outsider)
    async with cleared(world):
        yield world


def done(ended: Ended) -> Ended:
    """Return what a program said that did what it was asked."""
    assert ended.code == 0, ended.stdout + ended.stderr
    return ended


async def test_every_service_works_as_its_own_user(
    world: World, secured: SecuredKafka, settings: dict[str, str]
) -> None:
    """And ends in order, in the time it has."""
    for name, login in OF_SERVICE.items():
        world.start(name, **secured.environment(login))
    for process in world.processes:
        await process.ready()
    client = secured.as_user("passbook_client")

    async with PassbookClient(client.bootstrap, world.topics, security=client.security) as bank:
        opened = await bank.open_account("Ada", "500.00")
        await bank.deposit(opened.account_id, "20.00", "salary")
        async with bank.subscribe(group="payroll") as events:
            async for received in events:
                await received.ack()
                if received.version == 2:
                    break

    await world.current(2)
    reader = Program(settings | secured.environment("passbook_reader"))
    doctor = done(await reader("doctor", "--json")).document
    assert doctor["ok"], doctor
    done(await reader("topics", "apply", "--check"))
    checked = done(await reader("acls", "apply", "--check", "--json")).document
    assert (checked["missing"], checked["surplus"]) == ([], [])
    done(await reader("dlq", "list"))
    assert not any(SECRET in process.log.read_text() for process in world.processes)
    for process in world.processes:
        code, took_s = await process.terminate()
        assert (code, took_s < 4) == (0, True), f"{process.name}: {code} after {took_s:.1f} s"


async def test_rights_are_applied_once_and_what_is_too_much_is_told_and_taken_away(
    secured: SecuredKafka, settings: dict[str, str], topics: Topics, tmp_path: Path
) -> None:
    """Seen to fail when a check passed over what nobody outside of the table should have."""
    for name in PRINCIPALS:
        (tmp_path / name).write_text(f"{PASSWORD.format(name)}\n")
    admin = Program(settings | secured.admin_environment)
    first = await admin("acls", "apply", "--passwords", tmp_path, "--json")
    assert len(done(first).document["created"]) == len(acls(topics))
    assert PASSWORD.format("") not in first.stdout + first.stderr
    again = done(await admin("acls", "apply", "--json")).document
    assert (again["created"], again["surplus"]) == ([], [])
    nobody_special = Program(settings | secured.environment("passbook_client"))
    refused = await nobody_special("acls", "apply")
    assert refused.code == 1
    assert "does not let this user see, or change, what others may do" in refused.stderr

    done(await admin("acls", "apply", "--client", "payroll"))
    too_much = Acl("passbook_client", Right(Operation.WRITE, Kind.TOPIC, topics.events))
    async with kafka_admin(secured.as_admin) as client:
        await create_acls(client, [too_much])
    checked = await admin("acls", "apply", "--check", "--json")
    assert checked.code == 1
    assert [one["operation"] for one in checked.document["surplus"]] == ["write"]
    assert {one["principal"] for one in checked.document["foreign"]} == {"payroll"}

    done(await admin("acls", "apply", "--prune"))
    done(await admin("acls", "apply", "--check"))
    assert await _told_of(Acl("mallory", too_much.right), secured, admin) == (
        f"nobody else should: mallory may write topic {topics.events}"
    )


async def _told_of(acl: Acl, secured: SecuredKafka, admin: Program) -> str:
    """Return the line by which a check that fails tells of an ACL."""
    async with kafka_admin(secured.as_admin) as client:
        await create_acls(client, [acl])
    checked = await admin("acls", "apply", "--check")
    assert checked.code == 1
    (line,) = [line for line in checked.stdout.splitlines() if acl.principal in line]
    return line.strip()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"PASSBOOK_KAFKA_SASL_PASSWORD": "guessed"}, "refuses the password of passbook_reader"),
        ({"PASSBOOK_KAFKA_SSL_CA": "{other}"}, "unable to get local issuer certificate"),
        ({"PASSBOOK_KAFKA_BOOTSTRAP": "localhost:{port}"}, "Hostname mismatch"),
        ({"PASSBOOK_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}, "wants other security than PLAINTEXT"),
        ({"PASSBOOK_KAFKA_SASL_MECHANISM": "PLAIN"}, "does not offer PLAIN"),
    ],
    ids=["password", "authority", "name", "plaintext", "mechanism"],
)
async def test_why_kafka_lets_nobody_in_is_told(
    secured: SecuredKafka,
    settings: dict[str, str],
    tmp_path: Path,
    change: dict[str, str],
    told: str,
) -> None:
    other = Authority(tmp_path, "strangers").file
    changed = {name: value.format(other=other, port=secured.port) for name, value in change.items()}
    program = Program(settings | secured.environment("passbook_reader") | changed)

    refused = await program("topics", "apply", "--check")

    assert refused.code == 69
    assert told in refused.stderr
    assert SECRET not in refused.stderr


async def test_a_service_with_a_wrong_password_waits_until_it_is_right(
    world: World, secured: SecuredKafka, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("not yet\n")
    environment = secured.environment("passbook_query_api")
    del environment["PASSBOOK_KAFKA_SASL_PASSWORD"]
    environment["PASSBOOK_KAFKA_SASL_PASSWORD_FILE"] = str(file)
    process = world.start("query-api", **environment)
    await until(lambda: process.logged("service.unavailable"), 30)
    (first, *_) = process.logged("service.unavailable")
    assert "refuses the password of passbook_query_api" in first["error"]
    assert "not yet" not in process.log.read_text()

    file.write_text(PASSWORD.format("passbook_query_api"))

    await process.ready()


async def test_a_service_refuses_settings_that_contradict_each_other(
    world: World, secured: SecuredKafka
) -> None:
    environment = secured.environment("passbook_outbox_relay")
    environment["PASSBOOK_KAFKA_SSL_CA"] = "/nowhere/ca.pem"
    missing = world.start("outbox-relay", **environment)
    environment = secured.environment("passbook_outbox_relay")
    environment["PASSBOOK_KAFKA_SECURITY_PROTOCOL"] = "SSL"
    contradictory = world.start("outbox-relay", **environment)

    assert await missing.ended(30) == await contradictory.ended(30) == 78
    assert "/nowhere/ca.pem" in missing.logged("service.refused")[0]["error"]
    assert "uses no username" in contradictory.logged("service.refused")[0]["error"]


async def test_a_client_certificate_says_who_one_is(secured: SecuredKafka) -> None:
    bootstrap = secured.as_admin.bootstrap
    with pytest.raises(BankUnreachable, match="or a client certificate"):
        async with PassbookClient(
            bootstrap, security=KafkaSecurity("SSL", ca_file=secured.authority.file)
        ):
            pass


async def test_connections_that_expire_are_opened_anew_and_nothing_is_lost(
    world: World, secured: SecuredKafka
) -> None:
    """Kafka closes a connection whose login has expired; the client library does not log in again
    over the same connection, but opens another one.

    Seen to fail on a busy machine: when a client asked for brokers over a connection that had just
    expired, it forgot its topics, and services began anew, again and again.
    """
    expiring = {"PASSBOOK_KAFKA_SASL_MECHANISM": "SCRAM-SHA-256"}
    for name in ("command-service", "outbox-relay", "balance-projector", "audit-projector"):
        world.start(name, **secured.environment(OF_SERVICE[name]), **expiring)
    for process in world.processes:
        await process.ready()
    user = secured.as_user("passbook_client", mechanism="SCRAM-SHA-256")
    accepted = 0

    async with PassbookClient(KafkaServers(user.bootstrap, user.security), world.topics) as bank:
        opened = await bank.open_account("Ada", "500.00")
        deadline = asyncio.get_running_loop().time() + 3 * REAUTHENTICATION_MS / 1000
        while asyncio.get_running_loop().time() < deadline:
            await bank.deposit(opened.account_id, "1.00")
            accepted += 1
        async with bank.subscribe(group="expiring", types={AccountOpened}) as events:
            assert (await anext(events)).account_id == opened.account_id

    assert accepted > 20
    await world.current(1 + accepted)
    for process in world.processes:
        assert not process.logged("service.unavailable")
