import json
from decimal import Decimal
from uuid import UUID

import pytest
from rich.table import Table
from rich.text import Text

from passbook.cli.options import DEFAULTS, Options
from passbook.cli.output import emit, err

ID = UUID("0b5e8a9c-6f1d-4a34-9a57-0d5f0f6f3a11")


def test_json_is_one_document_and_nothing_else(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    def never() -> Text:
        raise AssertionError

    emit({"id": ID, "balance": Decimal("650.00")}, Options(json=True), never)

    captured = capsysbinary.readouterr()
    assert json.loads(captured.out) == {"id": str(ID), "balance": "650.00"}
    assert captured.err == b""


def test_ids_are_not_cropped_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(*"abcd")
    table.add_row(*[str(ID)] * 4)

    emit({}, DEFAULTS, lambda: table)

    assert capsys.readouterr().out.count(str(ID)) == 4


def test_progress_is_no_part_of_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    err().print("working")

    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "working\n")
