"""What a member of a group may commit, so that the group's lag is what is really left to do.

The offset after the last processed record is not enough for that. A partition in which nothing has
happened since the group exists would have none, and whoever measures lag would take all or nothing
of it for granted. The mark that ends a transaction takes an offset too, and nobody is ever given
one: the lag would stay at 1 for ever. So where everything that was handed out is done with, the
place is committed at which reading goes on.
"""

from collections.abc import Mapping, Sequence

from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener

from passbook.messaging.consumer import Record
from passbook.series import start_at_zero
from passbook.telemetry import CONSUMER_COMMITS_FAILED, CONSUMER_PARTITIONS, CONSUMER_REBALANCES


class GroupOffsets(ConsumerRebalanceListener):  # type: ignore[misc]
    """The offsets of one member, partition by partition, since partitions were last shared out."""

    def __init__(self, topic: str) -> None:
        """Know nothing yet."""
        announce_consumer(topic)
        self._rebalances = CONSUMER_REBALANCES.labels(topic)
        self._partitions = CONSUMER_PARTITIONS.labels(topic)
        self.generation = 0
        """Grows when partitions are given away: what was read before says nothing any more."""
        self._positions_tell = True
        self._handed_out: dict[int, int] = {}
        self._processed: dict[int, int] = {}
        self._committed: dict[int, int] = {}

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Forget everything: whatever is assigned next is read from what is committed."""
        del revoked
        self.generation += 1
        self._handed_out.clear()
        self._processed.clear()
        self._committed.clear()
        self._partitions.set(0)

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Count, and nothing else: records may have been handed out before this is called."""
        self._rebalances.inc()
        self._partitions.set(len(assigned))

    def left(self) -> None:
        """Count what the client does not tell: that it has left the group."""
        self._partitions.set(0)

    def handed_out(self, batches: Mapping[int, Sequence[Record]]) -> None:
        """Take note of records that somebody works on from now on."""
        for partition, records in batches.items():
            self._handed_out[partition] = records[-1].offset + 1

    def held_back(self, partition: int, offset: int) -> None:
        """Take note that the record at this offset is in somebody's hands, and will be handed out
        again: where reading goes on says nothing until then.
        """
        self._handed_out[partition] = offset + 1

    def doubted(self) -> None:
        """Take note that records were read which nobody was given: from now on only what was processed
        counts.
        """
        self._positions_tell = False

    def processed(self, next_offsets: Mapping[int, int]) -> None:
        """Take note that everything before these offsets is done with."""
        self._processed.update(next_offsets)

    def due(self, positions: Mapping[int, int], generation: int) -> dict[int, int]:
        """Return what the group has not been told. `positions` has the next offset that would be
        handed out of each assigned partition that has one, as it was asked for in `generation`.
        """
        if generation != self.generation:
            return {}
        due = {}
        for partition in positions.keys() | self._processed.keys():
            offset = self._processed.get(partition, -1)
            if self._positions_tell and self._handed_out.get(partition, offset) == offset:
                offset = max(offset, positions.get(partition, -1))
            if offset >= 0 and offset != self._committed.get(partition):
                due[partition] = offset
        return due

    def committed(self, offsets: Mapping[int, int]) -> None:
        """Take note that the group knows."""
        self._committed.update(offsets)


def announce_consumer(topic: str) -> None:
    """Have the series of a consumer of this topic from now on, also while it cannot connect."""
    for metric in (CONSUMER_COMMITS_FAILED, CONSUMER_PARTITIONS, CONSUMER_REBALANCES):
        start_at_zero(metric, (topic,))
