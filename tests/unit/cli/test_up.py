import pytest

from passbook.cli.failures import Misused
from passbook.cli.up import parse_scale, without_password


def test_scale_names_services_and_numbers() -> None:
    assert parse_scale(("command-service=2", "audit-projector=16")) == {
        "command-service": 2,
        "audit-projector": 16,
    }


@pytest.mark.parametrize(
    "argument",
    [
        "",
        "command-service",
        "command-service=",
        "nobody=2",
        "outbox-relay=0",
        "outbox-relay=-1",
        "outbox-relay=65",
        "outbox-relay=1.5",
        "outbox-relay=²",
    ],
)
def test_a_scale_that_makes_no_sense_is_refused(argument: str) -> None:
    with pytest.raises(Misused, match=r"--scale"):
        parse_scale((argument,))


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://u:s3cret@h:5/d?sslmode=disable", "postgresql://u@h:5/d"),
        ("postgresql://u:p%40ss%3A@h/d", "postgresql://u@h/d"),
        ("postgresql://h/d", "postgresql://h/d"),
        ("postgresql://h/d?user=u&password=s3cret", "postgresql://h/d"),
    ],
)
def test_a_dsn_is_shown_without_its_password(dsn: str, shown: str) -> None:
    assert without_password(dsn) == shown
