"""Fixtures of the tests without servers."""

from collections.abc import Iterator

import pytest

from tests.unit.embedded.maven import Maven, running_maven


@pytest.fixture
def maven(monkeypatch: pytest.MonkeyPatch) -> Iterator[Maven]:
    """Give a repository that PASSBOOK_MAVEN_URL points to; retries are immediate."""
    monkeypatch.setattr("passbook.embedded.download.FIRST_DELAY_S", 0.0)
    with running_maven() as maven:
        monkeypatch.setenv("PASSBOOK_MAVEN_URL", maven.url)
        yield maven
