"""The one parser of amounts, and the gate for amounts that are Decimal already."""

import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passbook.domain.errors import MalformedValue
from passbook.domain.money import MAXIMUM_BALANCE, parse_amount, to_money


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", "0.00"),
        ("0.0", "0.00"),
        ("0.01", "0.01"),
        ("20", "20.00"),
        ("20.5", "20.50"),
        ("20.50", "20.50"),
        ("9999999999999.99", "9999999999999.99"),
    ],
)
def test_an_amount_has_two_places(text: str, amount: str) -> None:
    assert str(parse_amount(text)) == amount


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "1 ", " 1", "1\n", "\n1", "1\0", "1 000", "1_000", "1,000", "1,50"),
        *("+1", "-1", "-0", "-0.00", "--1"),
        *("1e3", "1E3", "1E+1000000", "0x10", "0b1"),
        *("NaN", "nan", "sNaN", "Infinity", "-Infinity", "inf"),
        *(".5", "5.", ".", "1.2.3", "0.005", "0.010", "1.999"),
        *("00", "01", "007", "00.50", "10000000000000", "99999999999999"),
        *("\uff11\uff12", "\uff11.50", "\u0663", "1²", "½", "Ⅻ", "1\u202f000", "1\u2060"),
        *("one", "$1", "1€", "null", "true", "{}", "\ud800"),
    ],
)
def test_what_is_no_amount_on_the_wire_is_malformed(text: str) -> None:
    with pytest.raises(MalformedValue, match="not an amount"):
        parse_amount(text)


@pytest.mark.parametrize(
    "text", ["9" * 10_000_000, "1" + "0" * 10**6, "0." + "1" * 10**6, "1E+999999999"]
)
def test_a_monstrous_amount_is_refused_at_once_and_not_repeated(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(MalformedValue) as refusal:
        parse_amount(text)
    assert time.perf_counter() - started < 0.1
    assert len(str(refusal.value)) < 120


@given(st.integers(0, 999_999_999_999_999))
def test_every_amount_survives_a_round_trip(cents: int) -> None:
    amount = Decimal(cents).scaleb(-2)
    assert parse_amount(str(amount)) == amount
    assert str(parse_amount(str(amount))) == f"{cents // 100}.{cents % 100:02}"
    assert to_money(amount) == amount


@given(st.text())
def test_any_text_is_an_amount_or_malformed(text: str) -> None:
    try:
        amount = parse_amount(text)
    except MalformedValue:
        return
    assert text.isascii()
    assert 0 <= amount <= MAXIMUM_BALANCE
    assert amount.as_tuple().exponent == -2


@given(st.from_regex(r"\A(0|[1-9][0-9]{0,12})(\.[0-9]{1,2})?\Z"))
def test_everything_the_contract_allows_is_an_amount(text: str) -> None:
    if text.isascii():
        assert parse_amount(text) == Decimal(text)


@pytest.mark.parametrize(
    ("value", "amount"),
    [(5, "5.00"), (Decimal(5), "5.00"), (Decimal("5.1"), "5.10"), (Decimal("5.100"), "5.10")],
)
def test_exact_numbers_become_money(value: Decimal | int, amount: str) -> None:
    assert str(to_money(value)) == amount


@pytest.mark.parametrize(
    "value",
    [
        *(Decimal("0.005"), Decimal("1.001"), Decimal("1E-1000000")),
        *(Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-Infinity")),
        *(Decimal("1E+14"), Decimal("1E+1000000"), 10**400, 10**5000, -(10**400)),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, Decimal) else "int",
)
def test_what_cannot_be_money_is_malformed(value: Decimal | int) -> None:
    with pytest.raises(MalformedValue):
        to_money(value)


@pytest.mark.parametrize("value", [1.0, True, "1.00", None])
def test_what_is_not_exact_is_a_bug_of_the_caller(value: object) -> None:
    with pytest.raises(TypeError):
        to_money(value)  # type: ignore[arg-type]


@given(st.decimals(allow_nan=True, allow_infinity=True))
def test_any_decimal_is_money_or_malformed(value: Decimal) -> None:
    try:
        amount = to_money(value)
    except MalformedValue:
        return
    assert amount == value
    assert amount.as_tuple().exponent == -2
