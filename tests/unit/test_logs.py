"""What may be written of a failure: types and places, never what a row, a name or an argument is."""

import sys

import asyncpg
import pytest

from passbook.eventstore.pool import said
from passbook.logs import ids, where_only

_MARK = "Xq7Marker"


def _fail() -> None:
    try:
        int(_MARK)
    except ValueError as error:
        message = f"of {_MARK}"
        raise ExceptionGroup(message, [LookupError(_MARK)]) from error


def test_a_traceback_says_types_and_places_and_no_message() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        _fail()
    text = where_only((caught.type, caught.value, caught.tb))
    assert _MARK not in text
    for part in ("builtins.ExceptionGroup", "builtins.ValueError", "builtins.LookupError", "_fail"):
        assert part in text
    assert sys.exc_info() == (None, None, None)


def test_of_a_servers_refusal_neither_the_detail_nor_quoted_data_is_told() -> None:
    check = asyncpg.CheckViolationError("new row violates check constraint")
    check.detail = f"Failing row contains ({_MARK})"
    assert said(check) == "new row violates check constraint"
    quoted = asyncpg.InvalidTextRepresentationError(f'invalid input: "{_MARK}"')
    assert said(quoted) == "InvalidTextRepresentationError (SQLSTATE 22P02)"
    assert said(TimeoutError()) == "TimeoutError"


def test_ids_that_are_not_known_are_missing_and_others_are_cut() -> None:
    assert ids(None, None) == {}
    assert ids("a", b"\xff" + b"x" * 300) == {
        "command_id": "a",
        "correlation_id": "\ufffd" + "x" * 199,
    }
