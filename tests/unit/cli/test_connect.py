import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from passbook.cli.connect import admin_dsn, connect, running
from passbook.cli.failures import NothingRuns
from passbook.cli.options import Options
from passbook.config import MissingSetting
from passbook.embedded.datadir import DataDir
from passbook.embedded.endpoints import Endpoints
from passbook.messaging.topics import Topics

ENDPOINTS: Final = Endpoints(
    "up:9092",
    "postgresql://up/store",
    "postgresql://up/read",
    "owner",
    topic_prefix="up.",
    topic_partitions=4,
)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("PASSBOOK_"):
            monkeypatch.delenv(name)


@pytest.fixture
def nowhere(tmp_path: Path) -> Options:
    """Give a directory on which nothing runs."""
    return Options(tmp_path)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Options]:
    """Give a directory on which `up` runs."""
    data_dir = DataDir(tmp_path)
    with data_dir.hold():
        data_dir.write_endpoints(ENDPOINTS)
        yield Options(tmp_path)


def test_where_up_runs_its_servers_are_used(here: Options) -> None:
    settings = connect(here)

    assert str(settings.kafka) == "up:9092"
    assert settings.event_store == "postgresql://up/store"
    assert settings.read_model == "postgresql://up/read"
    assert settings.topics == Topics("up.", 4)
    assert admin_dsn(here) == "owner"
    assert running(here) == ENDPOINTS


def test_a_setting_wins_by_itself(here: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSBOOK_KAFKA_BOOTSTRAP", "mine:9092")

    settings = connect(here)

    assert str(settings.kafka) == "mine:9092"
    assert settings.topics == Topics()
    assert settings.event_store == "postgresql://up/store"


def test_topics_that_are_set_win_too(here: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSBOOK_TOPIC_PREFIX", "mine.")

    assert connect(here).topics == Topics("mine.", 4)


def test_read_models_are_looked_for_in_the_event_store_that_is_set(
    here: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSBOOK_EVENT_STORE_DSN", "postgresql://mine")

    settings = connect(here)

    assert settings.event_store == settings.read_model == "postgresql://mine"
    assert str(settings.kafka) == "up:9092"
    assert admin_dsn(here) == "postgresql://mine"


def test_where_nothing_runs_and_nothing_is_set_it_says_how_to_start(nowhere: Options) -> None:
    for ask in (connect, running, admin_dsn):
        with pytest.raises(NothingRuns, match="passbook up"):
            ask(nowhere)


def test_while_up_starts_it_says_to_try_again(tmp_path: Path) -> None:
    with DataDir(tmp_path).hold(), pytest.raises(NothingRuns, match="still starting"):
        connect(Options(tmp_path))


def test_what_is_not_set_is_named_when_it_is_needed(
    nowhere: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSBOOK_KAFKA_BOOTSTRAP", "mine:9092")

    settings = connect(nowhere)

    assert str(settings.kafka) == "mine:9092"
    with pytest.raises(MissingSetting, match="PASSBOOK_EVENT_STORE_DSN"):
        assert settings.event_store
