"""One catalogue for the command line and for HTTP."""

from http import HTTPStatus

from passbook.catalogue import CATALOGUE, code_of
from passbook.domain import errors
from passbook.messaging.commands import MALFORMED, UNSUPPORTED_COMMAND


def test_every_rule_of_the_bank_is_in_the_catalogue() -> None:
    """Seen to fail: without `balance_limit`."""
    rules = {kind.code for kind in errors.AccountError.__subclasses__()}
    codes = rules | {MALFORMED, UNSUPPORTED_COMMAND, "idempotency_conflict"}
    assert codes <= set(CATALOGUE)


def test_what_may_succeed_later_says_so() -> None:
    assert {meaning.status for meaning in CATALOGUE.values()} <= {one.value for one in HTTPStatus}
    for code, meaning in CATALOGUE.items():
        assert (meaning.exit == 69) == (meaning.status in {408, 503}) or code == "unreadable", code


def test_a_failure_that_nobody_foresaw_is_internal() -> None:
    assert code_of(RuntimeError("what")) == "internal"
    assert code_of(ConnectionRefusedError()) == "unavailable"
