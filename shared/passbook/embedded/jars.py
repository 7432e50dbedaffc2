"""Kafka's jars: the committed lock, and the files in the cache that match it."""

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TransferSpeedColumn,
)

from passbook.embedded.download import (
    Expected,
    Meter,
    WrongContentError,
    copy_checked,
    fetch,
    scratch_for,
)

MAVEN_CENTRAL: Final = "https://repo.maven.apache.org/maven2"
PARALLEL: Final = 8
_LOCK: Final = files("passbook.embedded").joinpath("kafka-jars.lock.json")


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked file of a Maven repository."""

    group: str
    artifact: str
    version: str
    expected: Expected

    @property
    def name(self) -> str:
        """The file name."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> str:
        """The path in every Maven repository, local or remote."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.name}"


@dataclass(frozen=True, slots=True)
class JarLock:
    """What Kafka of one version consists of."""

    kafka: str
    jars: tuple[Jar, ...]


def read_lock(file: Traversable = _LOCK) -> JarLock:
    """Return what a lock says, by default that which is part of this package."""
    document = json.loads(file.read_bytes())
    return JarLock(document["kafka"], tuple(_jar(**jar) for jar in document["jars"]))


def _jar(*, group: str, artifact: str, version: str, sha256: str, size: int) -> Jar:
    return Jar(group, artifact, version, Expected(size, sha256))


def maven_url() -> str:
    """Return the base URL to download from: `PASSBOOK_MAVEN_URL`, or Maven Central."""
    return (os.environ.get("PASSBOOK_MAVEN_URL") or MAVEN_CENTRAL).rstrip("/")


async def ensure_jars(jars: Iterable[Jar], folder: Path) -> list[Path]:
    """Have every jar in `folder`, downloading what is missing, and return the class path.

    A file gets its final name only after its size and hash were checked, so one that is there is
    right; several processes at once do the same work twice and no harm.

    Raises:
        DownloadError: a jar is neither cached, nor in `~/.m2`, nor to be had from the repository.
    """
    wanted = list(jars)
    missing = [jar for jar in wanted if not _is_there(jar, folder / jar.name)]
    if missing:
        cancelled = threading.Event()
        try:
            await asyncio.to_thread(_obtain_all, missing, folder, cancelled)
        finally:
            cancelled.set()
    return [folder / jar.name for jar in wanted]


def _is_there(jar: Jar, path: Path) -> bool:
    return path.is_file() and path.stat().st_size == jar.expected.size


def _obtain_all(jars: list[Jar], folder: Path, cancelled: threading.Event) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with (
        Progress(*columns, console=Console(stderr=True)) as progress,
        ThreadPoolExecutor(PARALLEL) as pool,
    ):
        bar = progress.add_task(
            f"Kafka, {len(jars)} jars", total=sum(jar.expected.size for jar in jars)
        )
        report = partial(progress.advance, bar)
        jobs = [pool.submit(_obtain, jar, folder / jar.name, report, cancelled) for jar in jars]
        try:
            for job in as_completed(jobs):
                job.result()
        except BaseException:
            cancelled.set()
            pool.shutdown(cancel_futures=True)
            raise


def _obtain(
    jar: Jar, target: Path, report: Callable[[float], None], cancelled: threading.Event
) -> None:
    if not _copy_local(jar, target, report, cancelled):
        fetch(f"{maven_url()}/{jar.path}", target, jar.expected, report, cancelled)


def _copy_local(
    jar: Jar, target: Path, report: Callable[[float], None], cancelled: threading.Event
) -> bool:
    """Take the jar from the local Maven repository; a file that is not the locked one is no use."""
    source = Path.home() / ".m2" / "repository" / jar.path
    if not _is_there(jar, source):
        return False
    meter = Meter(report, cancelled)
    try:
        with source.open("rb") as local, scratch_for(target) as file:
            copy_checked(local, file, jar.expected, meter)
    except (OSError, WrongContentError):
        meter.take_back()
        return False
    return True
