"""`passbook run`: one service in the foreground."""

import os
import runpy
from contextlib import suppress
from typing import Literal

from pydantic import ValidationError

from passbook.cli.connect import connect
from passbook.cli.logins import OF_SERVICE, QUERY_API, login_dsn
from passbook.cli.options import DEFAULTS, Options
from passbook.cli.stack import http_port
from passbook.config import MissingSetting, Settings
from passbook.embedded.datadir import DataDir

Service = Literal[
    "command-service", "outbox-relay", "balance-projector", "audit-projector", "query-api"
]


def run(service: Service, /, *, options: Options = DEFAULTS) -> None:
    """Run one service in the foreground, until Ctrl-C.

    It uses the configured servers, or those of a running `passbook up`, beside whose own instances
    it then works. Exit code 78 says that its configuration is refused, and its log why.
    """
    # What makes no sense the service refuses itself, in its own log and with its own exit code.
    with suppress(MissingSetting, ValidationError):
        os.environ.update(_environment(service, options))
    runpy.run_module(f"services.{service.replace('-', '_')}", run_name="__main__")


def _environment(service: str, options: Options) -> dict[str, str]:
    """Return the settings that the service would not find by itself."""
    settings = connect(options)
    data_dir = DataDir(options.data_dir)
    endpoints = data_dir.endpoints()
    event_store, read_model = settings.event_store, settings.read_model
    if endpoints is not None and endpoints.admin_dsn and Settings().event_store_dsn is None:
        event_store = login_dsn(endpoints.admin_dsn, OF_SERVICE[service], data_dir)
        if Settings().read_model_dsn is None:
            read_model = event_store
    port = {"PASSBOOK_HTTP_PORT": str(http_port(settings))} if service == QUERY_API else {}
    return {
        **port,
        "PASSBOOK_EVENT_STORE_DSN": event_store,
        "PASSBOOK_READ_MODEL_DSN": read_model,
        **settings.kafka_environment,
        "PASSBOOK_TOPIC_PREFIX": settings.topic_prefix,
        "PASSBOOK_TOPIC_PARTITIONS": str(settings.topic_partitions),
        "PASSBOOK_ARCHIVE_DIR": str(settings.archive.absolute()),
    }
