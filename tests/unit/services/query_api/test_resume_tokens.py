import pytest
from hypothesis import given
from hypothesis import strategies as st

from passbook.domain.slots import SLOT_COUNT
from services.query_api.streaming.resume_tokens import (
    BEGINNING,
    LONGEST,
    BadToken,
    positions_of,
    token_of,
)

positions = st.lists(
    st.one_of(st.just(0), st.integers(0, 2**63 - 1)), min_size=SLOT_COUNT, max_size=SLOT_COUNT
)


@given(positions)
def test_a_token_says_the_positions_it_was_made_of(numbers: list[int]) -> None:
    token = token_of(numbers)
    assert positions_of(token) == numbers
    assert 0 < len(token) <= LONGEST


def test_slots_without_events_are_left_out_and_the_beginning_is_not_empty() -> None:
    numbers = [0] * SLOT_COUNT
    assert token_of(numbers) == BEGINNING
    numbers[3], numbers[40] = 17, 5
    assert token_of(numbers) == "3:17,40:5"


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "3", "3:", ":5", "3:5,", ",3:5", "3:5,,4:1", "64:1", "99:1", "-1:5", "3:-5", "3:+5",
        "3:5,3:6", "3:5, 4:1", " 3:5", "3:5 ", "3:5\n", "\n3:5", "3:5\r\nid: 4:1", "3:1_0", "3:1e3",
        "3:0x1", "3:9223372036854775808", "3:99999999999999999999", "123:1", "3:\uff11", "\u0663:1",
        "null", "3:5;4:1", "3=5", "3:5\x00", "a" * 5000, ",".join(["1:1"] * 65), "3:1.0", "[3:5]",
    ],
)  # fmt: skip
def test_what_is_no_token_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(BadToken) as refused:
        positions_of(text)
    assert str(refused.value).isprintable()


@given(st.text())
def test_any_text_is_a_token_or_refused(text: str) -> None:
    try:
        numbers = positions_of(text)
    except BadToken:
        return
    assert positions_of(token_of(numbers)) == numbers
