import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from passbook.cli import main
from passbook.cli.failures import CommandFailed

VERBS: Final = (
    (),
    ("up",),
    ("down",),
    ("status",),
    ("demo",),
    ("migrate",),
    ("topics",),
    ("topics", "apply"),
    ("run",),
    ("doctor",),
    ("account",),
    ("account", "open"),
    ("account", "deposit"),
    ("account", "withdraw"),
    ("account", "freeze"),
    ("account", "close"),
    ("account", "show"),
    ("account", "history"),
    ("account", "list"),
    ("events",),
    ("events", "tail"),
    ("audit",),
    ("audit", "show"),
    ("audit", "verify"),
    ("audit", "key"),
    ("audit", "checkpoint"),
    ("projection",),
    ("projection", "list"),
    ("projection", "parked"),
    ("dlq",),
    ("dlq", "list"),
    ("dlq", "show"),
    ("dlq", "replay"),
    ("archive",),
    ("archive", "run"),
    ("archive", "verify"),
    ("archive", "restore"),
    ("archive", "list"),
    ("contracts",),
    ("contracts", "export"),
    ("contracts", "check"),
    ("bench",),
    ("bench", "throughput"),
    ("bench", "latency"),
    ("bench", "scaling"),
)
GROUPS: Final = {
    "",
    "topics",
    "account",
    "events",
    "audit",
    "projection",
    "dlq",
    "archive",
    "contracts",
    "bench",
}


@pytest.fixture(autouse=True)
def _without_debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PASSBOOK_DEBUG", raising=False)


@contextmanager
def _failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Iterator[None]:
    """Have `passbook down` raise."""

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("passbook.cli.up.supervisor.down", fail)
        yield


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_explains_itself(
    verb: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*verb, "--help"]) == 0

    shown = capsys.readouterr().out
    assert "Usage: passbook" in shown
    assert "Exit codes" in shown
    if "".join(verb) not in GROUPS:
        assert "--data-dir" in shown
        assert "--json" in shown


def test_help_waits_for_no_driver() -> None:
    program = (
        "import sys; from passbook.cli import main; main(['--help']);"
        "print(sorted({'asyncpg', 'aiokafka', 'pydantic', 'structlog'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ended.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "tokens",
    [["nope"], ["status", "--nope"], ["run"], ["run", "nope"], ["up", "--scale", "nope=2"]],
    ids=" ".join,
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    tokens: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tokens) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("passbook: ")
    assert captured.err.count("\n") == 1


def test_a_failure_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with _failing(monkeypatch, CommandFailed("it did not work: try again")):
        assert main(["down", "--data-dir", str(tmp_path)]) == 1

    assert capsys.readouterr().err == "passbook: it did not work: try again\n"


def test_a_bug_shows_its_traceback_only_when_debugging(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with _failing(monkeypatch, ZeroDivisionError("division by zero")):
        assert main(["down", "--data-dir", str(tmp_path)]) == 1
        assert "PASSBOOK_DEBUG" in capsys.readouterr().err
        monkeypatch.setenv("PASSBOOK_DEBUG", "1")
        with pytest.raises(ZeroDivisionError):
            main(["down", "--data-dir", str(tmp_path)])


def test_ctrl_c_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with _failing(monkeypatch, KeyboardInterrupt()):
        assert main(["down", "--data-dir", str(tmp_path)]) == 130

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("arguments", [[], ["--json"]], ids=["table", "json"])
def test_a_reader_that_goes_away_is_no_reason_to_complain(
    arguments: list[str], tmp_path: Path
) -> None:
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [sys.executable, "-m", "passbook", "down", "--data-dir", str(tmp_path), *arguments],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)

    assert ended.returncode == 1
    assert ended.stderr == b""
