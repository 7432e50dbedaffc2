"""What makes no sense is refused before anything is connected to: there are no servers here."""

import asyncio
from uuid import uuid4

import pytest

from passbook.cli import main

ACCOUNT = str(uuid4())


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSBOOK_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("PASSBOOK_EVENT_STORE_DSN", "postgresql://127.0.0.1:1/none")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("deposit", ACCOUNT, "1e3"), "not an amount: '1e3'"),
        (("deposit", ACCOUNT, "-5"), "not an amount: '-5'"),
        (("withdraw", ACCOUNT, "0.005"), "not an amount: '0.005'"),
        (("withdraw", "no-uuid", "5"), "no-uuid"),
        (("open", "--owner", "", "--deposit", "100"), "at least one character"),
        (("open", "--owner", "A" * 141, "--deposit", "100"), "longer than 140"),
        (("open", "--owner", "\udcff", "--deposit", "100"), "surrogate U+DCFF"),
        (("open", "--owner", "Ada"), "--deposit"),
        (("freeze", ACCOUNT, "--reason", "\x07"), "U+0007"),
        (("freeze", ACCOUNT), "--reason"),
        (("close", ACCOUNT, "--timeout", "0"), "--timeout"),
        (("close", ACCOUNT, "--expected-version", "-1"), "--expected-version"),
        (("close", ACCOUNT, "--command-id", "7"), "--command-id"),
        (("show", ACCOUNT, "--at", "2026-01-01T00:00:00"), "no time zone"),
        (("show", ACCOUNT, "--at", "yesterday"), "not a time"),
        (("show", ACCOUNT, "--strong", "--version", "1"), "--version and --strong ask for"),
        (("show", ACCOUNT, "--version", "0"), "--version"),
        (("list", "--limit", "0"), "--limit"),
        (("list", "--limit", "1001"), "--limit"),
    ],
)
async def test_what_makes_no_sense_is_a_usage_error(
    arguments: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # In a thread: the program has an event loop of its own.
    code = await asyncio.to_thread(main, ["account", *arguments])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith("passbook: ")
    assert reason in err


async def test_servers_that_do_not_answer_are_unavailable(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments in (["account", "close", ACCOUNT], ["account", "show", ACCOUNT]):
        assert await asyncio.to_thread(main, arguments) == 69
        out, err = capsys.readouterr()
        assert out == ""
        assert "PASSBOOK_KAFKA_BOOTSTRAP" in err
