"""A file gets its name only when it is the locked one."""

import hashlib
import threading
from pathlib import Path

import pytest

from passbook.embedded.download import ATTEMPTS, Expected, fetch
from passbook.embedded.errors import DownloadError
from tests.unit.embedded.maven import Answer, Maven

BODY = bytes(range(256)) * 1024
EXPECTED = Expected(len(BODY), hashlib.sha256(BODY).hexdigest())
GOOD = Answer(BODY)
PATH = "org/example/thing/1.0/thing-1.0.jar"


def obtain(maven: Maven, folder: Path) -> list[int]:
    """Fetch the file and return the progress that was reported."""
    progress: list[int] = []
    fetch(
        f"{maven.url}/{PATH}",
        folder / "thing-1.0.jar",
        EXPECTED,
        progress.append,
        threading.Event(),
    )
    return progress


def test_file_is_fetched_and_progress_adds_up(maven: Maven, tmp_path: Path) -> None:
    maven.answer(PATH, GOOD)
    assert sum(obtain(maven, tmp_path)) == len(BODY)
    assert (tmp_path / "thing-1.0.jar").read_bytes() == BODY


@pytest.mark.parametrize(
    "bad",
    [
        Answer(status=500),
        Answer(status=429),
        Answer(status=503),
        Answer(BODY[:1000], missing=len(BODY) - 1000),
        Answer(BODY[:-1]),
        Answer(BODY + b"x"),
        Answer(b"\0" * len(BODY)),
    ],
    ids=["500", "429", "503", "cut", "short", "long", "damaged"],
)
def test_transient_failure_is_tried_again_and_its_progress_taken_back(
    maven: Maven, tmp_path: Path, bad: Answer
) -> None:
    maven.answer(PATH, bad, GOOD)
    assert sum(obtain(maven, tmp_path)) == len(BODY)
    assert [path.name for path in tmp_path.iterdir()] == ["thing-1.0.jar"]


def test_wrong_hash_is_refused_after_the_last_attempt_and_leaves_nothing(
    maven: Maven, tmp_path: Path
) -> None:
    maven.answer(PATH, Answer(b"\0" * len(BODY)))
    with pytest.raises(DownloadError, match="sha256"):
        obtain(maven, tmp_path)
    assert len(maven.requests) == ATTEMPTS
    assert list(tmp_path.iterdir()) == []


def test_missing_file_is_not_asked_for_again_and_the_message_says_what_to_do(
    maven: Maven, tmp_path: Path
) -> None:
    with pytest.raises(DownloadError) as refusal:
        obtain(maven, tmp_path)
    assert len(maven.requests) == 1
    for part in ("thing-1.0.jar", maven.url, "HTTP 404", "PASSBOOK_MAVEN_URL"):
        assert part in str(refusal.value)


def test_unreachable_repository_is_named(maven: Maven, tmp_path: Path) -> None:
    maven.url = "http://127.0.0.1:1"
    with pytest.raises(DownloadError, match="Connection refused"):
        obtain(maven, tmp_path)


def test_cancelled_download_ends_and_leaves_nothing(maven: Maven, tmp_path: Path) -> None:
    maven.answer(PATH, GOOD)
    cancelled = threading.Event()
    with pytest.raises(DownloadError, match="cancelled"):
        fetch(f"{maven.url}/{PATH}", tmp_path / "x", EXPECTED, lambda _: cancelled.set(), cancelled)
    assert list(tmp_path.iterdir()) == []
