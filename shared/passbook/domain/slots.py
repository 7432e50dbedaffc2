"""Where an account lives: its slot in the store, its partition in Kafka. Computed here only.

Source: `org.apache.kafka.common.utils.Utils.murmur2`, which Kafka's default partitioner applies to
the key. The number of partitions is a power of two up to `SLOT_COUNT`, hence
`hash % P == (hash % 64) % P`: a slot is never split over two partitions, and any client that uses
the default partitioner over the lower-case UUID text already puts an account where we expect it.
"""

import struct
from typing import Final
from uuid import UUID

SLOT_COUNT: Final = 64

_WORD: Final = struct.Struct("<I")
_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


def slot_of(account_id: UUID | str) -> int:
    """Return the slot, 0 to 63, of an account. A `str` must be the lower-case UUID text."""
    return (murmur2(str(account_id).encode()) & 0x7FFFFFFF) % SLOT_COUNT


def partition_of(slot: int, partitions: int) -> int:
    """Return the partition that carries a slot in a topic with `partitions` partitions."""
    return slot % partitions


def valid_partition_count(partitions: int) -> bool:
    """Say whether `partitions` keeps every slot in one partition: a power of two up to 64."""
    return 1 <= partitions <= SLOT_COUNT and partitions & (partitions - 1) == 0


def murmur2(data: bytes) -> int:
    """Return Kafka's 32-bit murmur2 of `data`, unsigned."""
    length = len(data)
    whole = length & ~3
    h = _SEED ^ length
    for (word,) in _WORD.iter_unpack(data[:whole]):
        k = word * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = h * _M & _MASK ^ k
    if whole != length:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15
