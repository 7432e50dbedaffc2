"""Slots. That they are Kafka's partitions is tested where aiokafka may be imported."""

from collections import Counter
from uuid import UUID, uuid4

import pytest

from passbook.domain.slots import SLOT_COUNT, murmur2, partition_of, slot_of, valid_partition_count


@pytest.mark.parametrize(
    ("data", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_that_of_the_java_client(data: bytes, signed: int) -> None:
    """Source: `UtilsTest.testMurmur2` of Apache Kafka."""
    assert murmur2(data) == signed & 0xFFFFFFFF


def test_the_text_of_an_id_has_the_slot_of_the_id() -> None:
    account_id = UUID("0B5E8A9C-6F1D-4A34-9A57-0D5F0F6F3A11")
    assert slot_of(account_id) == slot_of("0b5e8a9c-6f1d-4a34-9a57-0d5f0f6f3a11")


def test_a_slot_never_changes() -> None:
    """These are stored: a change would tear accounts apart from their events."""
    ids = [UUID(int=number) for number in range(6)]
    assert [slot_of(account_id) for account_id in ids] == [61, 26, 37, 3, 24, 51]


def test_accounts_spread_over_all_slots() -> None:
    counts = Counter(slot_of(uuid4()) for _ in range(6400))
    assert set(counts) == set(range(SLOT_COUNT))
    assert max(counts.values()) < 200


def test_a_slot_is_in_one_partition_for_every_allowed_count() -> None:
    allowed = [count for count in range(-1, 130) if valid_partition_count(count)]
    assert allowed == [1, 2, 4, 8, 16, 32, 64]
    for count in allowed:
        assert {partition_of(slot, count) for slot in range(SLOT_COUNT)} == set(range(count))
