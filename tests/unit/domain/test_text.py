"""What people may write."""

import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passbook.domain.errors import MalformedValue
from passbook.domain.text import clean_name, clean_text

_BOTH = pytest.mark.parametrize("clean", [clean_name, clean_text])
Clean = Callable[[str], str]


@_BOTH
@pytest.mark.parametrize(
    "text", ["A", "Ada Lovelace", "Zoë", "李小龍", "𝄞", "👩‍🚀", 'O\'Neill "x" \\ /', " ", "½ € ™"]
)
def test_a_text_is_kept_as_it_is(clean: Clean, text: str) -> None:
    assert clean(text) == text


@_BOTH
@pytest.mark.parametrize(
    ("text", "normal"),
    [("Zoe\u0308", "Zo\u00eb"), ("\u212b", "\u00c5"), ("\u1112\u1161\u11ab", "\ud55c")],
)
def test_a_text_is_kept_in_normal_form_c(clean: Clean, text: str, normal: str) -> None:
    assert clean(text) == normal


@_BOTH
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\0b", "U+0000"),
        ("a\nb", "U+000A"),
        ("tab\t", "U+0009"),
        ("\x7f", "U+007F"),
        ("\x85", "U+0085"),
        ("\x9f", "U+009F"),
        ("\ud800", "U+D800"),
        ("a\udfff", "U+DFFF"),
        ("é\x1b[31m", "U+001B"),
    ],
)
def test_controls_and_surrogates_are_malformed(clean: Clean, text: str, shown: str) -> None:
    with pytest.raises(MalformedValue, match=shown.replace("+", r"\+")):
        clean(text)


@pytest.mark.parametrize("character", ["x", "é", "e\u0301", "𝄞", "\u1112\u1161\u11ab"])
def test_lengths_are_counted_after_normalisation(character: str) -> None:
    assert len(clean_name(character * 140)) == 140
    assert len(clean_text(character * 200)) == 200
    with pytest.raises(MalformedValue, match="longer than 140 characters"):
        clean_name(character * 141)
    with pytest.raises(MalformedValue, match="longer than 200 characters"):
        clean_text(character * 201)


def test_a_text_that_grows_in_normal_form_is_measured_as_it_is_stored() -> None:
    assert len(clean_text("\u0958" * 100)) == 200
    with pytest.raises(MalformedValue, match="longer"):
        clean_text("\u0958" * 101)


def test_a_name_has_a_character_and_a_reference_need_not() -> None:
    with pytest.raises(MalformedValue, match="at least one character"):
        clean_name("")
    assert clean_text("") == ""


@_BOTH
@pytest.mark.parametrize("text", ["a" * 10**7, "é" * 10**6, "a" + "\u0301" * 10**6])
def test_an_endless_text_is_refused_at_once(clean: Clean, text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(MalformedValue, match="longer"):
        clean(text)
    assert time.perf_counter() - started < 0.1


@given(st.text(st.characters(), max_size=250))
def test_any_text_is_stored_as_it_will_stay_or_malformed(text: str) -> None:
    try:
        clean = clean_text(text)
    except MalformedValue:
        return
    assert clean == unicodedata.normalize("NFC", text)
    assert clean_text(clean) == clean
    assert len(clean) <= 200
    assert clean.encode().decode() == clean
    assert "\0" not in clean
