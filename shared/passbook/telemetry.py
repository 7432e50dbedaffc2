"""Logs and metrics: what every service says about itself.

Watch first: is everybody at work (`service_ready`, the sum of `relay_leading`); is the log in doubt
(`relay_halted_slots`, `relay_republished_total`, `projection_gaps_total`); how old is what people see
(`command_wait_seconds`, `relay_backlog_seconds`, `projection_lag_seconds`); who is left out
(`partitions_held`, `projection_parked`, `dead_letters_total`); then the servers.

Log events, one JSON object a line (or a readable line on a terminal), on stderr. Common keys:
`event`, `level`, `timestamp`, `service`. Lines about one command or event have its `command_id` and, if the
sender gave one, its `correlation_id`, marked here by +; so have those of an HTTP request that has the header
X-Correlation-ID. Names, texts and amounts are never logged, and of exceptions only types and places.

    service.started        metrics_port
    service.ready          service.stopping       service.stopped
    service.unavailable    error, retry_s         a server does not answer; trying again
    service.refused        error                  configuration; exits with 78
    service.overprivileged login, reason, meant   the login may do more than its service does
    service.crashed        exc_info               a bug; exits with 1
    task.failed            message, exc_info      a bug in something that nobody awaited
    command.malformed      +, partition, offset, code
    command.crashed        +, partition, offset   a bug; the process ends: see PASSBOOK_COMMANDS_SET_ASIDE
    command.conflict       +                      an id came again with other content
    partition.held         +, partition, offset, account_id, error   a stream that is too new: upgrade
    append.retried         reason, commands       the batch is decided again, slot by slot
    snapshot.ignored       account_id, version, reason   replayed instead; see `snapshot verify`
    snapshot.failed        error, snapshots       not read or not written; replayed, or dropped
    relay.leading          groups, of             what it publishes has changed
    relay.standby                                 others publish everything
    relay.log_lost         slot, published, tail  Kafka lost records; published again
    relay.halted           slot, tail, head       the store is behind Kafka; needs an operator
    projection.gap         projection, slot, expected, found   fetched from the store
    projection.fenced      projection             another instance moved on; reloaded
    projection.parked      +, projection, account_id, reason
    record.foreign         +, topic, partition, offset, error
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
    traces.setting_ignored reason                 a variable of OpenTelemetry that it does not understand
    traces.unsent          error                  the collector takes no spans; they are dropped
    traces.sent                                   it takes them again

Metrics, all with the prefix `passbook_`:

    build_info{version,python,commit}    1; commit as the image says (PASSBOOK_BUILD_COMMIT), or ""
    service_ready                        1 while it works, 0 else, gauge
    service_unavailable_total            sessions ended because something did not answer
    commands_decided_total{type,outcome} type: OpenAccount …, or unknown; outcome: accepted, or the
                                         code of the refusal. Answers to duplicates count, too
    commands_duplicate_total             answered from the stored outcome
    decision_seconds                     one poll of commands: decoded, read up, decided, histogram
    command_wait_seconds                 from a record's time in Kafka until it is decided, of the
                                         oldest of each partition in a poll, histogram
    append_seconds                       one append to the event store, histogram
    append_retries_total{reason}
    dead_letters_total{topic}
    snapshots_ignored_total{reason}      hash, unrecorded
    partitions_held                      waiting for a service that can read a stream, gauge
    snapshots_saved_total                snapshots_dropped_total     snapshots_failed_total
    relay_published_total                relay_backlog_events        relay_leading
    relay_backlog_seconds                age of the oldest event that is not published, gauge
    relay_groups_leading                 of so many `relay_groups`, sums up over all relays, gauges
    relay_republished_total              relay_halted_slots
    projection_applied_total{projection} projection_lag_events{projection}
    projection_lag_seconds{projection}         age of the oldest event that is not applied, gauge
    projection_duplicates_total{projection}    projection_gaps_total{projection}
    projection_fenced_total{projection}        projection_parked{projection}
    stream_clients                       stream_frames_total         of Server-Sent Events
    stream_dropped_total{reason}         queue, timeout, body, stop
    http_requests_total{route,method,status}   status: 2xx, 4xx, 5xx; route: its template, or none
    http_seconds{route}                  one request but streams, histogram
    http_in_progress                     requests, streams too, gauge
    http_refused_total{reason}           over a limit, by the problem's code
    trace_spans_dropped_total{reason}    limit: a message that was sampled and not followed; queue: it
                                         was full; unsent: the collector did not take them
    consumer_partitions{topic}           of the group, that this member has now, gauge
    consumer_rebalances_total{topic}     the first assignment counts, too
    consumer_commits_failed_total{topic}       a few in a rebalance are nothing
    loop_lag_seconds                     how late the event loop runs, gauge

and of the servers, by the relay that leads the first group, every 15 seconds, and by nobody else:

    postgres_connections                 postgres_connections_limit  postgres_database_bytes
    postgres_commits_total               postgres_rollbacks_total    postgres_deadlocks_total
    postgres_blocks_read_total           postgres_blocks_hit_total
    kafka_brokers                        that answer
    kafka_partitions_underreplicated     kafka_partitions_offline    of our topics
    kafka_partitions_under_min_isr       where nothing is acknowledged

Series whose labels are known beforehand are there with 0 from the start. No label ever says whose
account, which command or how much.
"""

from collections.abc import Collection
from typing import Final

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase

# When a series began is not worth a second one beside every counter.
disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_WAITS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0)

BUILD_INFO: Final = Gauge(
    "passbook_build_info", "1; the labels say what runs.", ["version", "python", "commit"]
)
SERVICE_READY: Final = Gauge("passbook_service_ready", "1 while the service does its work.")
SERVICE_UNAVAILABLE: Final = Counter(
    "passbook_service_unavailable", "Sessions that ended because something did not answer."
)
COMMANDS_DECIDED: Final = Counter(
    "passbook_commands_decided", "Commands answered, by what was decided.", ["type", "outcome"]
)
DECISION_SECONDS: Final = Histogram(
    "passbook_decision_seconds",
    "One poll of commands: decoded, read up, decided.",
    buckets=_SECONDS,
)
COMMAND_WAIT_SECONDS: Final = Histogram(
    "passbook_command_wait_seconds",
    "From the record's time in Kafka until it is decided, of the oldest of a poll's partition.",
    buckets=_WAITS,
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
RELAY_BACKLOG_SECONDS: Final = Gauge(
    "passbook_relay_backlog_seconds", "Age of the oldest event that is stored but not published."
)
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
PROJECTION_LAG_SECONDS: Final = Gauge(
    "passbook_projection_lag_seconds",
    "Age of the oldest event of the assigned slots that is not applied.",
    ["projection"],
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
    "passbook_http_seconds", "One HTTP request, but streams.", ["route"], buckets=_WAITS
)
HTTP_IN_PROGRESS: Final = Gauge("passbook_http_in_progress", "HTTP requests in progress.")
HTTP_REFUSED: Final = Counter(
    "passbook_http_refused", "HTTP requests and connections over a limit.", ["reason"]
)
TRACE_SPANS_DROPPED: Final = Counter(
    "passbook_trace_spans_dropped", "Spans of traces that were not sent.", ["reason"]
)
CONSUMER_PARTITIONS: Final = Gauge(
    "passbook_consumer_partitions", "Partitions that this member of the group has.", ["topic"]
)
CONSUMER_REBALANCES: Final = Counter(
    "passbook_consumer_rebalances", "Times that partitions were shared out anew.", ["topic"]
)
CONSUMER_COMMITS_FAILED: Final = Counter(
    "passbook_consumer_commits_failed", "Offsets that the group did not take.", ["topic"]
)
LOOP_LAG: Final = Gauge("passbook_loop_lag_seconds", "How late the event loop runs.")

# Only one relay measures the servers. In the others these must be missing: 0 brokers is an alarm.
POSTGRES_CONNECTIONS: Final = Gauge(
    "passbook_postgres_connections", "Connections to the server.", registry=None
)
POSTGRES_CONNECTIONS_LIMIT: Final = Gauge(
    "passbook_postgres_connections_limit", "Connections that the server takes.", registry=None
)
POSTGRES_BYTES: Final = Gauge(
    "passbook_postgres_database_bytes",
    "What the event store's database has on disk.",
    registry=None,
)
POSTGRES_COMMITS: Final = Counter(
    "passbook_postgres_commits", "Transactions committed in this database.", registry=None
)
POSTGRES_ROLLBACKS: Final = Counter(
    "passbook_postgres_rollbacks", "Transactions rolled back in this database.", registry=None
)
POSTGRES_DEADLOCKS: Final = Counter(
    "passbook_postgres_deadlocks", "Deadlocks in this database.", registry=None
)
POSTGRES_BLOCKS_READ: Final = Counter(
    "passbook_postgres_blocks_read", "Blocks that were not in the buffers.", registry=None
)
POSTGRES_BLOCKS_HIT: Final = Counter(
    "passbook_postgres_blocks_hit", "Blocks that were in the buffers.", registry=None
)
KAFKA_BROKERS: Final = Gauge(
    "passbook_kafka_brokers", "Brokers of the cluster that answer.", registry=None
)
KAFKA_UNDERREPLICATED: Final = Gauge(
    "passbook_kafka_partitions_underreplicated",
    "Partitions of our topics with a replica that is not in sync.",
    registry=None,
)
KAFKA_OFFLINE: Final = Gauge(
    "passbook_kafka_partitions_offline", "Our partitions whose leader is away.", registry=None
)
KAFKA_UNDER_MIN_ISR: Final = Gauge(
    "passbook_kafka_partitions_under_min_isr", "Those with too few replicas.", registry=None
)
SERVERS: Final[Collection[MetricWrapperBase]] = (
    POSTGRES_CONNECTIONS,
    POSTGRES_CONNECTIONS_LIMIT,
    POSTGRES_BYTES,
    POSTGRES_COMMITS,
    POSTGRES_ROLLBACKS,
    POSTGRES_DEADLOCKS,
    POSTGRES_BLOCKS_READ,
    POSTGRES_BLOCKS_HIT,
    KAFKA_BROKERS,
    KAFKA_UNDERREPLICATED,
    KAFKA_OFFLINE,
    KAFKA_UNDER_MIN_ISR,
)
