"""Where the servers are: the environment says, or else the `passbook up` of the data directory.

settings = connect(options)
async with database_pool(settings.read_model, "passbook-cli") as pool: ...
async with Producer(settings.kafka, client_id="passbook-cli") as producer: ...
"""

import sys
from typing import Final

import structlog
from pydantic import SecretStr

from passbook.cli.failures import NothingRuns
from passbook.cli.options import Options
from passbook.config import Settings
from passbook.embedded.datadir import DataDir
from passbook.embedded.endpoints import Endpoints

_LEVEL: Final = 40  # errors; a verb says itself what went wrong


def connect(options: Options) -> Settings:
    """Return settings whose `event_store`, `read_model`, `kafka` and `topics` can be used.

    A variable that is set wins, each by itself; the rest comes from the `passbook up` that runs
    on the data directory. `event_store` is then the login of the command service, `read_model`
    the one that may read everything, the event store too, and change nothing.

    Raises:
        NothingRuns: neither is there.
        MissingSetting: (by the properties) what this one is for is not configured.
    """
    _log_to_stderr()
    settings = Settings().model_copy(update={"data_dir": options.data_dir})
    endpoints = DataDir(options.data_dir).endpoints()
    if endpoints is not None:
        return _completed(settings, endpoints)
    if settings.event_store_dsn is None and settings.kafka_bootstrap is None:
        raise _nothing_runs(options)
    return settings


def running(options: Options) -> Endpoints:
    """Return the endpoints of the `passbook up` that runs on the data directory.

    Raises:
        NothingRuns: none does, or it is still starting.
    """
    endpoints = DataDir(options.data_dir).endpoints()
    if endpoints is None:
        raise _nothing_runs(options)
    return endpoints


def admin_dsn(options: Options) -> str:
    """Return the login that owns the schema: of the event store in the environment, or of `up`.

    Raises:
        NothingRuns, MissingSetting: as `connect`.
    """
    settings = Settings()
    endpoints = DataDir(options.data_dir).endpoints()
    if settings.event_store_dsn is None and endpoints is not None and endpoints.admin_dsn:
        return endpoints.admin_dsn
    return connect(options).event_store


def read_model_owner(options: Options) -> str:
    """Return the login that owns the read models: the one in the environment, or of `up`.

    Raises:
        NothingRuns, MissingSetting: as `connect`.
    """
    configured = Settings().read_model_dsn
    return configured.get_secret_value() if configured else admin_dsn(options)


def _log_to_stderr() -> None:
    """Keep stdout for the answer: structlog, left alone, would write there."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(_LEVEL),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _completed(settings: Settings, endpoints: Endpoints) -> Settings:
    read_model = settings.read_model_dsn or settings.event_store_dsn
    known: dict[str, object] = {
        "event_store_dsn": settings.event_store_dsn or SecretStr(endpoints.event_store_dsn),
        "read_model_dsn": read_model or SecretStr(endpoints.read_model_dsn),
    }
    # A Kafka of one's own says nothing about its topics; that of `up` has the ones it made.
    if settings.kafka_bootstrap is None:
        settings = settings.with_embedded_kafka(endpoints.kafka_bootstrap)
        made = {
            "topic_prefix": endpoints.topic_prefix,
            "topic_partitions": endpoints.topic_partitions,
        }
        known |= {
            name: value
            for name, value in made.items()
            if value is not None and name not in settings.model_fields_set
        }
    return settings.model_copy(update=known)


def _nothing_runs(options: Options) -> NothingRuns:
    where = DataDir(options.data_dir)
    if where.is_running():
        return NothingRuns(f"{where.path} is still starting: try again in a moment")
    return NothingRuns(f"nothing runs on {where.path}: start it with `passbook up`")
