"""Fixtures of the tests that start and kill servers."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """Give an empty directory that every account may walk through, unlike pytest's own."""
    directory = Path(tempfile.mkdtemp(prefix="passbook-tests-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)
