"""Lines of services, each with the name of its service."""

import io
import os
from pathlib import Path

import pytest

from passbook.embedded import service_logs
from passbook.embedded.logs import open_log
from passbook.embedded.service_logs import folder_sink, lines, terminal_sink


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Closed(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, _: str) -> int:
        raise BrokenPipeError


async def read(data: bytes) -> list[str]:
    """Return the lines of what was written to a pipe."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(data)
    return [line async for line in lines(os.fdopen(reading, "rb"))]


async def test_lines_come_out_one_by_one() -> None:
    assert await read(b"one\r\ntwo\n\nlast") == ["one", "two", "", "last"]


async def test_bytes_that_are_no_text_are_shown() -> None:
    assert await read(b"\xff\xfe\n") == ["\\xff\\xfe"]


async def test_endless_line_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_logs, "LINE_LIMIT_BYTES", 8)
    pieces = await read(b"x" * 100)
    assert "".join(pieces) == "x" * 100
    assert all(len(piece) <= 16 for piece in pieces)


def test_names_are_padded_and_plain_when_the_stream_is_no_terminal() -> None:
    stream = io.StringIO()
    write = terminal_sink(["short", "longer-name"], stream)
    write("short", "one")
    write("longer-name", "two")
    assert stream.getvalue() == "short       | one\nlonger-name | two\n"


def test_names_have_colours_on_a_terminal_unless_they_are_unwanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    terminal_sink(["one"], stream)("one", "text")
    assert stream.getvalue() == "\x1b[36mone        | \x1b[0mtext\n"
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    terminal_sink(["one"], stream)("one", "text")
    assert stream.getvalue() == "one        | text\n"


def test_reader_that_went_away_is_no_error() -> None:
    terminal_sink(["one"], Closed())("one", "text")


def test_folder_keeps_one_file_a_service(tmp_path: Path) -> None:
    write = folder_sink(tmp_path)
    write("one", "first")
    write("one", "second")
    write("two", "third")
    assert (tmp_path / "one.log").read_text() == "first\nsecond\n"
    assert (tmp_path / "two.log").read_text() == "third\n"


def test_large_log_moves_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("passbook.embedded.logs.LOG_LIMIT_BYTES", 3)
    for text in (b"old!", b"new!"):
        with open_log(tmp_path / "log") as log:
            log.write(text)
    assert (tmp_path / "log").read_bytes() == b"new!"
    assert (tmp_path / "log.1").read_bytes() == b"old!"
