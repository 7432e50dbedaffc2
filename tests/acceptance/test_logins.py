"""A login that may do more than its service does: the service works, and says so; the doctor, too."""

import re
import secrets
from collections.abc import AsyncIterator

import pytest

from passbook.cli.checks.finding import State, fine
from tests.support.doctor import findings
from tests.support.world import RELAY, World


async def test_a_login_that_could_do_more_works_and_is_told_of(world: World) -> None:
    relay = world.start(RELAY, dsn=world.database.admin_dsn)
    found = await findings(world, world.database.admin_dsn)
    await relay.ready()

    (told,) = relay.logged("service.overprivileged")
    assert told["meant"] == "passbook_outbox_relay"
    assert "superuser" in told["reason"]
    assert found["login"].state is State.WARNING


@pytest.mark.parametrize("function", ["append", "archive", "restore_events", "unarchive"])
async def test_a_login_that_may_call_what_is_not_its_services_is_told_of(
    world: World, function: str
) -> None:
    """Seen to fail: without looking at what the login may execute."""
    login = "passbook_outbox_relay"
    await world.admin.execute(f"GRANT EXECUTE ON FUNCTION eventstore.{function} TO {login}")

    assert await _told_of(world, world.dsn(RELAY)) == f"it may EXECUTE eventstore.{function}"


async def test_a_login_of_several_services_is_told_of(world: World, login_of_two: str) -> None:
    """Who keeps both the log and the audit can make them fit.

    Seen to fail: without looking at how many services the login is of.
    """
    assert await _told_of(world, login_of_two) == (
        "it may act as passbook_outbox_relay, passbook_audit_projector"
    )


@pytest.mark.parametrize(
    ("revoke", "name", "detail"),
    [
        (
            "EXECUTE ON FUNCTION eventstore.append FROM passbook_command_service",
            "login",
            "passbook_command_service may not EXECUTE eventstore.append",
        ),
        (
            "USAGE ON SCHEMA audit FROM passbook_audit_projector",
            "read model login",
            "passbook_audit_projector may not SELECT audit.entries, INSERT audit.entries",
        ),
        (
            "SELECT ON balances.accounts FROM passbook_reader",
            "read model login",
            "passbook_query_api may not SELECT balances.accounts",
        ),
    ],
)
async def test_the_owner_is_told_whose_right_is_missing(
    world: World, revoke: str, name: str, detail: str
) -> None:
    """Seen to fail: with the rights of the owner, who may do everything, looked at instead."""
    await world.admin.execute(f"REVOKE {revoke}")

    found = await findings(world, world.database.admin_dsn)

    assert found[name].state is State.FAILED
    assert found[name].detail == detail


async def test_the_owner_finds_that_every_service_has_its_rights(world: World) -> None:
    found = await findings(world, world.database.admin_dsn)

    assert found["login"].state is State.WARNING  # it could itself do too much
    assert found["read model login"] == fine("writes balance, audit")


@pytest.fixture
async def login_of_two(world: World) -> AsyncIterator[str]:
    """Give the DSN of a login that the relay and the audit projector share."""
    login = f"passbook_test_{secrets.token_hex(8)}"
    await world.admin.execute(
        f"CREATE ROLE {login} LOGIN PASSWORD '{login}'"
        " IN ROLE passbook_outbox_relay, passbook_audit_projector"
    )
    yield re.sub(r"//[^@]*@", f"//{login}:{login}@", world.database.admin_dsn)
    await world.admin.execute(f"DROP ROLE {login}")


async def _told_of(world: World, dsn: str) -> str:
    """Return why a relay that works says that its login is too mighty; the doctor says so, too."""
    relay = world.start(RELAY, dsn=dsn)
    found = await findings(world, dsn)
    await relay.ready()
    assert found["login"].state is State.WARNING
    (told,) = relay.logged("service.overprivileged")
    reason: str = told["reason"]
    return reason
