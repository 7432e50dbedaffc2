"""The rules for what people write: owner names, references, reasons."""

import unicodedata
from typing import Final

from passbook.domain.errors import MalformedValue

NAME_LENGTH: Final = 140
TEXT_LENGTH: Final = 200
_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cs"})  # control characters, lone surrogates


def clean_name(text: str) -> str:
    """Return an owner's name in normal form C: 1 to 140 characters, none of them a control.

    Raises:
        MalformedValue: empty, too long, or with a control character or surrogate.
    """
    if not text:
        message = "a name has at least one character"
        raise MalformedValue(message)
    return _clean(text, NAME_LENGTH)


def clean_text(text: str) -> str:
    """Return a reference or reason in normal form C: 0 to 200 characters, none of them a control.

    Raises:
        MalformedValue: too long, or with a control character or surrogate.
    """
    return _clean(text, TEXT_LENGTH)


def _clean(text: str, limit: int) -> str:
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    # NFC never makes a text more than three times shorter, so the cost of normalising is bounded.
    if len(text) > 4 * limit:
        message = f"longer than {limit} characters"
        raise MalformedValue(message)
    for character in text:
        if unicodedata.category(character) in _REFUSED_CATEGORIES:
            message = f"has the control character or surrogate U+{ord(character):04X}"
            raise MalformedValue(message)
    normal = unicodedata.normalize("NFC", text)
    if len(normal) > limit:
        message = f"longer than {limit} characters"
        raise MalformedValue(message)
    return normal
