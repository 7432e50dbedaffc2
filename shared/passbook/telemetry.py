"""Logs and metrics: what every service says about itself.

Log events, one JSON object a line (or a readable line on a terminal), on stderr. Common keys:
`event`, `level`, `timestamp`, `service`. Names and amounts are never logged.

    service.started        metrics_port
    service.ready          service.stopping       service.stopped
    service.unavailable    error, retry_s         a server does not answer; trying again
    service.refused        error                  configuration; exits with 78
    command.malformed      partition, offset, command_id, code
    command.conflict       command_id             an id came again with other content
    partition.held         partition, offset, account_id, error   a stream that is too new: upgrade
    append.retried         reason, commands       the batch is decided again, slot by slot
    snapshot.ignored       account_id, version, reason   replayed instead; see `snapshot verify`
    snapshot.failed        error, snapshots       not read or not written; replayed, or dropped
    relay.leading          groups, of             what it publishes has changed
    relay.standby                                 others publish everything
    relay.log_lost         slot, published, tail  Kafka lost records; published again
    relay.halted           slot, tail, head       the store is behind Kafka; needs an operator
    projection.gap         projection, slot, expected, found   fetched from the store
    projection.fenced      projection             another instance moved on; reloaded
    projection.parked      projection, account_id, reason
    record.foreign         topic, partition, offset, error
    http.listening         host, port
    http.failed            exc_info               an answer of 500: a bug; somebody has to look
    http.unavailable       error, more            a server did not answer a request, nor `more` since
    http.without_tokens    host                   everybody on this machine may do everything
    stream.waiting         error                  the log cannot be read; streams stay open
    stream.failed                                 a bug; streams end, and can be resumed
    stream.dropped         reason                 queue, timeout or stop: a client that does not read
    jwks.read              keys                   the keys of the callers' tokens, first or changed
    jwks.unavailable       error                  not read again; the old ones are used for a while
    jwks.key_ignored       number, reason         a key of the set that is not used
    traces.unsent          error                  the collector takes no spans; they are dropped
    traces.sent                                   it takes them again

Metrics, all with the prefix `passbook_`:

    commands_decided_total{outcome}      accepted, rejected, or the code of a bad command
    commands_duplicate_total             answered from the stored outcome
    append_seconds                       one append to the event store, histogram
    append_retries_total{reason}
    dead_letters_total{topic}
    snapshots_ignored_total{reason}      hash, unrecorded
    partitions_held                      waiting for a service that can read a stream, gauge
    snapshots_saved_total                snapshots_dropped_total     snapshots_failed_total
    relay_published_total                relay_backlog_events        relay_leading
    relay_groups_leading                 of so many `relay_groups`, sums up over all relays, gauges
    relay_republished_total              relay_halted_slots
    projection_applied_total{projection} projection_lag_events{projection}
    projection_duplicates_total{projection}    projection_gaps_total{projection}
    projection_fenced_total{projection}        projection_parked{projection}
    stream_clients                       stream_frames_total         of Server-Sent Events
    stream_dropped_total{reason}
    http_requests_total{route,method,status}   status: 2xx, 4xx, 5xx; route: its template, or none
    http_seconds{route}                  one request but streams, histogram
    http_in_progress                     requests, streams too, gauge
    http_refused_total{reason}           over a limit, by the problem's code
    trace_spans_dropped_total{reason}    limit: a message that was sampled and not followed; queue: it
                                         was full; unsent: the collector did not take them
    loop_lag_seconds                     how late the event loop runs, gauge
"""

import logging
import sys
from typing import Final, Literal

import orjson
import structlog
from prometheus_client import Counter, Gauge, Histogram

_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)

COMMANDS_DECIDED: Final = Counter(
    "passbook_commands_decided", "Commands decided, by outcome.", ["outcome"]
)
COMMANDS_DUPLICATE: Final = Counter(
    "passbook_commands_duplicate", "Commands answered from their stored outcome."
)
APPEND_SECONDS: Final = Histogram(
    "passbook_append_seconds", "One append to the event store.", buckets=_SECONDS
)
APPEND_RETRIES: Final = Counter(
    "passbook_append_retries", "Batches that had to be decided again.", ["reason"]
)
PARTITIONS_HELD: Final = Gauge(
    "passbook_partitions_held", "Partitions whose next command is for a stream that is unreadable."
)
DEAD_LETTERS: Final = Counter(
    "passbook_dead_letters", "Records copied to a dead-letter topic.", ["topic"]
)
SNAPSHOTS_SAVED: Final = Counter("passbook_snapshots_saved", "Snapshots handed to the database.")
SNAPSHOTS_DROPPED: Final = Counter(
    "passbook_snapshots_dropped", "Snapshots that came faster than they could be written."
)
SNAPSHOTS_FAILED: Final = Counter(
    "passbook_snapshots_failed", "Calls for snapshots that the database did not answer."
)
SNAPSHOTS_IGNORED: Final = Counter(
    "passbook_snapshots_ignored", "Snapshots that must not be used.", ["reason"]
)
RELAY_PUBLISHED: Final = Counter("passbook_relay_published", "Events acknowledged by Kafka.")
RELAY_REPUBLISHED: Final = Counter(
    "passbook_relay_republished", "Events published again because Kafka had lost them."
)
RELAY_BACKLOG: Final = Gauge("passbook_relay_backlog_events", "Events stored but not published.")
RELAY_LEADING: Final = Gauge("passbook_relay_leading", "1 in a relay that publishes.")
RELAY_GROUPS: Final = Gauge("passbook_relay_groups", "Groups into which the slots are dealt.")
RELAY_GROUPS_LEADING: Final = Gauge(
    "passbook_relay_groups_leading", "Groups of slots that this relay publishes."
)
RELAY_HALTED: Final = Gauge(
    "passbook_relay_halted_slots", "Slots whose log in Kafka is ahead of the store."
)
PROJECTION_APPLIED: Final = Counter(
    "passbook_projection_applied", "Events applied to a read model.", ["projection"]
)
PROJECTION_LAG: Final = Gauge(
    "passbook_projection_lag_events", "Events of the assigned slots not applied.", ["projection"]
)
PROJECTION_DUPLICATES: Final = Counter(
    "passbook_projection_duplicates", "Events recognised as applied before.", ["projection"]
)
PROJECTION_GAPS: Final = Counter(
    "passbook_projection_gaps", "Events that Kafka did not deliver.", ["projection"]
)
PROJECTION_FENCED: Final = Counter(
    "passbook_projection_fenced", "Batches that another instance had overtaken.", ["projection"]
)
PROJECTION_PARKED: Final = Gauge(
    "passbook_projection_parked", "Accounts that a projection cannot apply.", ["projection"]
)
STREAM_CLIENTS: Final = Gauge("passbook_stream_clients", "Clients of the live stream.")
STREAM_FRAMES: Final = Counter("passbook_stream_frames", "Events sent to clients of the stream.")
STREAM_DROPPED: Final = Counter(
    "passbook_stream_dropped", "Clients of the stream that were not fast enough.", ["reason"]
)
HTTP_REQUESTS: Final = Counter(
    "passbook_http_requests", "HTTP requests answered.", ["route", "method", "status"]
)
HTTP_SECONDS: Final = Histogram(
    "passbook_http_seconds", "One HTTP request, but streams.", ["route"], buckets=_SECONDS
)
HTTP_IN_PROGRESS: Final = Gauge("passbook_http_in_progress", "HTTP requests in progress.")
HTTP_REFUSED: Final = Counter(
    "passbook_http_refused", "HTTP requests and connections over a limit.", ["reason"]
)
TRACE_SPANS_DROPPED: Final = Counter(
    "passbook_trace_spans_dropped", "Spans of traces that were not sent.", ["reason"]
)
LOOP_LAG: Final = Gauge("passbook_loop_lag_seconds", "How late the event loop runs.")

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logging(
    *,
    service: str,
    log_format: Literal["auto", "json", "console"] = "auto",
    level: Literal["debug", "info", "warning", "error"] = "info",
) -> None:
    """Send structured logs to stderr, as JSON unless it is a terminal or `console` is asked for.

    The standard library's loggers (aiokafka, asyncio) come out the same way, from WARNING up.
    """
    readable = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(
            fmt="%H:%M:%S.%f" if readable else "iso", utc=not readable
        ),
        structlog.processors.StackInfoRenderer(),
    ]
    renderers: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=22)]
        if readable
        else [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ]
    )
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    if not readable:  # in a terminal somebody knows which one this is, or `up` says it in front
        structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # While a broker is away it says so hundreds of times a second, and whatever matters comes back
    # to us as an exception.
    logging.getLogger("aiokafka").setLevel(
        logging.WARNING if level == "debug" else logging.CRITICAL
    )


def _dumps(value: object, **_options: object) -> str:
    return orjson.dumps(value, default=str).decode()
