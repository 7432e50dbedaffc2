"""Everything on this machine for the length of a block: the servers and, on them, every service.

The services stop first, in the order in which work flows, so that each still hands on what it has;
then Kafka and PostgreSQL.
"""

import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from passbook.cli.failures import CommandFailed
from passbook.cli.ground import Ground, prepared_ground
from passbook.cli.keeper import Say
from passbook.cli.logins import OF_SERVICE, QUERY_API
from passbook.config import Settings
from passbook.embedded.datadir import DataDir
from passbook.embedded.errors import DataDirectoryBusyError
from passbook.embedded.ports import LOOPBACK, free_port, is_free
from passbook.embedded.service_logs import LineSink, folder_sink, terminal_sink
from passbook.embedded.service_process import ServiceSpec, State
from passbook.embedded.supervisor import Supervisor

READY_BOUND_S: Final = 60.0
_SESSION_TIMEOUT_S: Final = 6.0
"""On one machine nobody is silent for a network's sake: what a killed service had in hand is taken
over as soon as Kafka allows it."""
_STOP_ORDER: Final = {QUERY_API: 0, "command-service": 1, "outbox-relay": 2}
_LAST: Final = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start, and how.

    `scale` is service → instances, 1 where it says nothing. The services' logs are `log_format`;
    they go to the data directory when it is `quiet`, otherwise to stderr. `quick_start=False` gives
    Kafka its best compiler, for benchmarks.
    """

    data_dir: DataDir
    say: Say
    scale: Mapping[str, int] = field(default_factory=dict)
    log_format: str = "json"
    quiet: bool = False
    quick_start: bool = True


@dataclass(frozen=True, slots=True)
class Stack:
    """What runs."""

    ground: Ground
    supervisor: Supervisor


@asynccontextmanager
async def running_stack(plan: Plan) -> AsyncIterator[Stack]:
    """Have everything run and be ready; nothing of it is left after the block.

    Raises:
        CommandFailed: it runs already, or a service refuses to.
        EmbeddedError, StoreUnavailable, ConsumerLost, MigrationError, TopicMismatch: something
            did not start, or does not fit; what had been started was stopped again.
    """
    data_dir, say = plan.data_dir, plan.say
    with _held(data_dir):
        async with prepared_ground(data_dir, say, quick_start=plan.quick_start) as ground:
            port = http_port(ground.settings)
            specs = _specs(plan, ground, port)
            sink = _sink(plan, specs)
            endpoints = replace(
                ground.endpoints, http_url=_http_url(ground.settings.http_host, port)
            )
            async with Supervisor(data_dir, endpoints, specs, sink) as supervisor:
                for status in await supervisor.wait_ready(READY_BOUND_S):
                    if status.state is State.REFUSED:
                        where = f"its log in {data_dir.logs}" if plan.quiet else "its log above"
                        message = f"{status.name} refused to run: {where} says why"
                        raise CommandFailed(message)
                say(f"{len(specs)} services are ready")
                yield Stack(ground, supervisor)


def _sink(plan: Plan, specs: list[ServiceSpec]) -> LineSink:
    if plan.quiet:
        return folder_sink(plan.data_dir.logs)
    return terminal_sink([spec.label for spec in specs])


@contextmanager
def _held(data_dir: DataDir) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(data_dir.hold())
        except DataDirectoryBusyError as error:
            message = (
                f"Passbook runs on {data_dir.path} already (pid {data_dir.supervisor_pid()}): "
                "see `passbook status`, stop it with `passbook down`, or choose another --data-dir"
            )
            raise CommandFailed(message) from error
        yield


def _specs(plan: Plan, ground: Ground, port: int) -> list[ServiceSpec]:
    return [
        _spec(ground, name, instance, plan.log_format, port)
        for name in OF_SERVICE
        for instance in range(1, plan.scale.get(name, 1) + 1)
    ]


def _spec(ground: Ground, name: str, instance: int, log_format: str, port: int) -> ServiceSpec:
    event_store, read_model = ground.dsns(OF_SERVICE[name])
    environment = {
        "PASSBOOK_EVENT_STORE_DSN": event_store,
        "PASSBOOK_READ_MODEL_DSN": read_model,
        **ground.settings.kafka_environment,
        "PASSBOOK_KAFKA_SESSION_TIMEOUT_S": str(_session_timeout_s(ground.settings)),
        "PASSBOOK_LOG_FORMAT": log_format,
        "PASSBOOK_ARCHIVE_DIR": str(ground.settings.archive.absolute()),
    }
    if name == QUERY_API:
        environment["PASSBOOK_HTTP_PORT"] = str(port if instance == 1 else free_port())
    return ServiceSpec(
        name,
        # -P: a folder `services` in the current directory must not be taken for ours.
        (sys.executable, "-P", "-m", f"services.{name.replace('-', '_')}"),
        env=environment,
        stop_order=_STOP_ORDER.get(name, _LAST),
        instance=instance,
    )


def http_port(settings: Settings) -> int:
    """Return the port that was asked for; the usual one when nobody asked and it is free; or another."""
    configured = "http_port" in settings.model_fields_set and settings.http_port > 0
    if configured or (settings.http_port and is_free(settings.http_port)):
        return settings.http_port
    return free_port()


def _http_url(host: str, port: int) -> str:
    """Return where those on this machine reach what listens on `host`."""
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 - compared, not used
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _session_timeout_s(settings: Settings) -> float:
    configured = "kafka_session_timeout_s" in settings.model_fields_set
    return settings.kafka_session_timeout_s if configured else _SESSION_TIMEOUT_S
