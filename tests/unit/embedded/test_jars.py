"""The lock of Kafka's jars, and where they come from."""

import asyncio
import hashlib
import re
from pathlib import Path

import pytest

from passbook.embedded.download import Expected
from passbook.embedded.errors import DownloadError
from passbook.embedded.jars import MAVEN_CENTRAL, Jar, ensure_jars, maven_url, read_lock
from tests.unit.embedded.maven import Answer, Maven


def jar(artifact: str, body: bytes) -> Jar:
    """Return a jar with this content."""
    expected = Expected(len(body), hashlib.sha256(body).hexdigest())
    return Jar("org.example.deep", artifact, "1.0", expected)


def names(folder: Path) -> set[str]:
    """Return the names in a folder."""
    return {path.name for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a home directory without a Maven repository."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_lock_names_every_jar_once_with_hash_and_size() -> None:
    lock = read_lock()
    assert len({jar.name for jar in lock.jars}) == len(lock.jars)
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.expected.sha256) for jar in lock.jars)
    assert all(jar.expected.size > 0 for jar in lock.jars)


def test_lock_holds_kafka_of_one_version_and_a_logger() -> None:
    lock = read_lock()
    assert {jar.version for jar in lock.jars if jar.group == "org.apache.kafka"} == {lock.kafka}
    assert {"kafka_2.13", "kafka-server", "log4j-slf4j-impl"} <= {jar.artifact for jar in lock.jars}


def test_maven_central_is_the_default_and_a_mirror_may_end_with_a_slash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PASSBOOK_MAVEN_URL", raising=False)
    assert maven_url() == MAVEN_CENTRAL
    monkeypatch.setenv("PASSBOOK_MAVEN_URL", "https://mirror.example/maven/")
    assert maven_url() == "https://mirror.example/maven"


async def test_missing_jars_come_from_the_mirror_and_present_ones_stay(
    maven: Maven, tmp_path: Path
) -> None:
    one, two = jar("one", b"1"), jar("two", b"22")
    maven.answer("org/example/deep/one/1.0/one-1.0.jar", Answer(b"1"))
    maven.answer("org/example/deep/two/1.0/two-1.0.jar", Answer(b"22"))
    await ensure_jars([one], tmp_path / "cache")
    assert await ensure_jars([one, two], tmp_path / "cache") == [
        tmp_path / "cache" / "one-1.0.jar",
        tmp_path / "cache" / "two-1.0.jar",
    ]
    assert sorted(maven.requests) == [f"/{one.path}", f"/{two.path}"]


async def test_jar_with_another_size_is_fetched_again(maven: Maven, tmp_path: Path) -> None:
    wanted = jar("one", b"1")
    maven.answer(wanted.path, Answer(b"1"))
    (tmp_path / wanted.name).write_bytes(b"half a download of another program")
    await ensure_jars([wanted], tmp_path)
    assert (tmp_path / wanted.name).read_bytes() == b"1"


async def test_local_maven_repository_is_used_when_the_hash_is_right(
    maven: Maven, tmp_path: Path, home: Path
) -> None:
    right, wrong = jar("right", b"1"), jar("wrong", b"2")
    maven.answer(wrong.path, Answer(b"2"))
    for one, body in ((right, b"1"), (wrong, b"x")):
        local = home / ".m2" / "repository" / one.path
        local.parent.mkdir(parents=True)
        local.write_bytes(body)
    paths = await ensure_jars([right, wrong], tmp_path / "cache")
    assert [path.read_bytes() for path in paths] == [b"1", b"2"]
    assert maven.requests == [f"/{wrong.path}"]


async def test_two_downloads_at_once_both_succeed(maven: Maven, tmp_path: Path) -> None:
    jars = [jar(f"number{number}", bytes(number)) for number in range(1, 20)]
    for one in jars:
        maven.answer(one.path, Answer(bytes(one.expected.size)))
    both = await asyncio.gather(ensure_jars(jars, tmp_path), ensure_jars(jars, tmp_path))
    assert both[0] == both[1]
    assert names(tmp_path) == {one.name for one in jars}


async def test_failure_of_one_jar_is_reported_by_name(maven: Maven, tmp_path: Path) -> None:
    good, missing = jar("good", b"1"), jar("missing", b"2")
    maven.answer(good.path, Answer(b"1"))
    with pytest.raises(DownloadError, match=r"missing-1\.0\.jar"):
        await ensure_jars([good, missing], tmp_path)
