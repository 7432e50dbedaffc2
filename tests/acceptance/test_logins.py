"""A login that may do more than its service does: the service works, and says so; the doctor, too."""

import re
import secrets
from collections.abc import AsyncIterator

import pytest

from passbook.cli.checks.finding import State
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
