"""`passbook contracts`: the committed documents, and what the verbs say about a difference."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import passbook
from passbook.cli.app import run
from passbook.cli.failures import EXIT_FAILED, EXIT_OK, EXIT_USAGE

_EVENT = "schemas/events/MoneyDeposited.v2.json"
_COMMAND = "schemas/commands/DepositMoney.v1.json"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Give a copy of the committed documents."""
    folder = tmp_path / "contracts"
    shutil.copytree(Path(__file__).parents[3] / "deploy" / "contracts", folder)
    return folder


def test_the_committed_documents_are_as_the_code_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """If not: `passbook contracts export`, unless it says that this would break somebody."""
    code = run(["contracts", "check"])
    assert code == EXIT_OK, capsys.readouterr().out


def test_every_difference_is_told_and_whom_it_would_break(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _edit(copy / _EVENT, lambda document: document["properties"]["reference"].pop("maxLength"))
    _edit(copy / _COMMAND, lambda document: document["properties"]["reference"].pop("maxLength"))
    assert run(["contracts", "check", "--against", str(copy), "--json"]) == EXIT_FAILED
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["breaking"], told["additive"]) == (False, 1, 1)
    where, what = "properties/reference/maxLength", "inf became 200"
    assert told["changes"] == [
        {"where": f"{_COMMAND}/{where}", "what": what, "kind": "breaking"},
        {"where": f"{_EVENT}/{where}", "what": what, "kind": "additive"},
    ]
    assert run(["contracts", "check", "--against", str(copy)]) == EXIT_FAILED
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in table[1:]] == ["breaking", "additive"]


def test_an_additive_difference_is_written(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _edit(copy / _EVENT, lambda document: document["properties"]["reference"].pop("maxLength"))
    assert run(["contracts", "export", "--to", str(copy), "--json"]) == EXIT_OK
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["breaking"], told["additive"]) == (True, 0, 1)
    assert run(["contracts", "check", "--against", str(copy)]) == EXIT_OK


def test_a_breaking_difference_is_not_written(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _edit(copy / _COMMAND, lambda document: document["required"].remove("amount"))
    before = (copy / _COMMAND).read_bytes()
    assert run(["contracts", "export", "--to", str(copy), "--json"]) == EXIT_FAILED
    told = capsys.readouterr()
    assert json.loads(told.out)["ok"] is False
    assert "required/amount: the field must be there now" in told.err
    assert "make a new version beside it" in told.err
    assert (copy / _COMMAND).read_bytes() == before


def test_a_folder_that_is_not_there_is_filled_and_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new"
    assert run(["contracts", "check", "--against", str(folder)]) == EXIT_USAGE
    assert capsys.readouterr().err == f"passbook: there is no folder {folder}\n"
    assert run(["contracts", "export", "--to", str(folder)]) == EXIT_OK
    assert run(["contracts", "check", "--against", str(folder)]) == EXIT_OK


@pytest.mark.parametrize(("verb", "option"), [("export", "--to"), ("check", "--against")])
def test_an_installed_package_asks_for_the_folder(
    verb: str,
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    installed = tmp_path / "lib" / "site-packages" / "passbook" / "__init__.py"
    monkeypatch.setattr(passbook, "__file__", str(installed))
    assert run(["contracts", verb]) == EXIT_USAGE
    assert option in capsys.readouterr().err


def _edit(file: Path, change: Any) -> None:
    document = json.loads(file.read_text(encoding="utf-8"))
    change(document)
    file.write_text(json.dumps(document), encoding="utf-8")
