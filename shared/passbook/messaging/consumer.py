"""Consuming so that nothing is skipped: every default of the client that loses data is set."""

from typing import Any, Final, TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from passbook.messaging.connections import robust
from passbook.messaging.header_names import accept_any_header_name
from passbook.messaging.security import KafkaServers, connection_options
from passbook.messaging.topics import MAX_DEAD_LETTER_RECORD

accept_any_header_name()

Record: TypeAlias = ConsumerRecord
"""A record as aiokafka hands it out: topic, partition, offset, key, value, headers."""

__all__ = ["ConsumerLost", "Record", "open_consumer"]

_FETCH_BYTES: Final = 2 * 1024 * 1024
# The answer to a heartbeat is how a member learns that partitions are shared out anew; those of one
# that left stand still until all have learned it. Independent of the session timeout, which is long
# only to bear pauses.
_HEARTBEAT_MS: Final = 500


class ConsumerLost(Exception):
    """The broker no longer answers this consumer; start anew."""


def open_consumer(
    *topics: str,
    kafka: str | KafkaServers,
    group: str,
    client_id: str,
    session_timeout_s: float,
    **settings: Any,
) -> AIOKafkaConsumer:
    """Return a member-to-be of a group, not started, that skips nothing and commits nothing itself."""
    consumer = AIOKafkaConsumer(
        *topics,
        **connection_options(kafka),
        client_id=client_id,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        session_timeout_ms=int(session_timeout_s * 1000),
        heartbeat_interval_ms=_HEARTBEAT_MS,
        fetch_max_bytes=_FETCH_BYTES,
        max_partition_fetch_bytes=MAX_DEAD_LETTER_RECORD,
        **settings,
    )
    robust(consumer._client)  # noqa: SLF001 - it has no name for it
    return consumer
