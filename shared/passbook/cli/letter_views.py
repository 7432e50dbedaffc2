"""Dead letters as the command line shows them. They hold whatever a sender sent, so nothing of them
reaches a terminal that could steer it.
"""

from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from passbook.messaging.letters import Letter

_BLANKS: Final = {"\n", "\t"}
_REASON_WIDTH: Final = 80


def letter_document(letter: Letter, *, whole: bool = False) -> dict[str, object]:
    """Return what `--json` tells of a letter; `whole` adds headers and value.

    Bytes are `{"text": …}` when they are readable, otherwise `{"hex": …}`, and null when there are
    none.
    """
    document: dict[str, object] = {
        "place": str(letter.place),
        "original": letter.original if letter.topic else None,
        "reason": letter.reason,
        "failed_at": letter.failed_at,
        "type": letter.header("ce_type"),
        "id": letter.header("ce_id"),
        "key": _bytes(letter.key),
        "bytes": len(letter.value or b""),
        "truncated": letter.truncated or None,
    }
    if whole:
        document["headers"] = [
            {"name": name, "value": _bytes(value)} for name, value in letter.headers
        ]
        document["value"] = _bytes(letter.value)
    return document


def letter_table(letters: Sequence[Letter]) -> RenderableType:
    """Return letters as a table."""
    if not letters:
        return Text("There are no dead letters.", style="green")
    table = Table(
        "place", "since", "type", "id", "reason", box=None, pad_edge=False, padding=(0, 3, 0, 0)
    )
    for one in letters:
        cells = (one.failed_at, one.header("ce_type"), one.header("ce_id"), one.reason)
        table.add_row(str(one.place), *(Text(_printable(cell)[:_REASON_WIDTH]) for cell in cells))
    return table


def letter_view(letter: Letter) -> RenderableType:
    """Return everything about a letter."""
    facts = [
        ("place", str(letter.place)),
        ("original", letter.original if letter.topic else "unknown"),
        ("failed at", letter.failed_at),
        ("reason", letter.reason),
        ("key", _shown(letter.key)),
        *((f"header {name}", _shown(value)) for name, value in letter.headers),
    ]
    if letter.truncated:
        facts.append(("truncated", f"the original had {letter.truncated:,} bytes"))
    lines = [
        Text.assemble((f"{_printable(name):<24}", "bold"), _printable(text)) for name, text in facts
    ]
    return Group(*lines, Text(), Text(_shown(letter.value)))


def _bytes(value: bytes | None) -> dict[str, str] | None:
    if value is None:
        return None
    text = _text(value)
    return {"hex": value.hex()} if text is None else {"text": text}


def _shown(value: bytes | None) -> str:
    if value is None:
        return "none"
    text = _text(value)
    return f"hex {value.hex()}" if text is None else text


def _text(value: bytes) -> str | None:
    """Return bytes as text, None when a terminal could not just show it."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if all(one.isprintable() or one in _BLANKS for one in text) else None


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "\ufffd" for one in text)
