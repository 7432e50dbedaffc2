"""The doctor comes to an end, and tells what it found, whatever is the matter."""

from typing import Final

import pytest

from passbook.cli.checks import finding
from passbook.cli.checks.finding import State
from passbook.cli.logins import QUERY_API
from tests.support.databases import Connect
from tests.support.doctor import findings
from tests.support.world import World

_SHORT_S: Final = 0.5


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
