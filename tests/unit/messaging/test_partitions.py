"""A slot is where Kafka's default partitioner puts the account, for every number of partitions."""

from random import Random
from uuid import UUID

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from passbook.domain.slots import murmur2, partition_of, slot_of

_random = Random(20260131)
_IDS = [UUID(int=_random.getrandbits(128)) for _ in range(300)]


@pytest.mark.parametrize("partitions", [1, 2, 4, 8, 16, 32, 64])
def test_the_partition_of_a_slot_is_that_of_the_default_partitioner(partitions: int) -> None:
    """Seen to fail: with another seed of the hash, and with `%` before the sign is masked off."""
    default, every = DefaultPartitioner(), list(range(partitions))
    for account_id in _IDS:
        key = str(account_id).encode()
        assert partition_of(slot_of(account_id), partitions) == default(key, every, every)


@given(st.binary(max_size=100))
def test_the_hash_is_that_of_aiokafka_for_any_bytes(data: bytes) -> None:
    assert murmur2(data) == aiokafka_murmur2(data) & 0xFFFFFFFF
