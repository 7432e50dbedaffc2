"""What a group is told, so that nothing is committed which nobody has done: guards, one by one."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from passbook.messaging.group_offsets import GroupOffsets


def _records(*offsets: int) -> Sequence[Any]:
    return [SimpleNamespace(offset=offset) for offset in offsets]


@pytest.fixture
def offsets() -> GroupOffsets:
    """Give the offsets of a member that has done with records 0 to 9 of partition 0."""
    offsets = GroupOffsets("bank.commands")
    offsets.handed_out({0: _records(8, 9)})
    offsets.processed({0: 10})
    return offsets


def test_where_all_is_done_with_the_place_is_where_reading_goes_on(offsets: GroupOffsets) -> None:
    assert offsets.due({0: 11, 1: 0}, 0) == {0: 11, 1: 0}


def test_records_that_were_read_and_dropped_are_not_committed(offsets: GroupOffsets) -> None:
    """A poll that fails at one partition has moved on in others, whose records nobody is given.
    Seen to fail: the end of the session told the group where reading would have gone on.
    """
    offsets.doubted()
    assert offsets.due({0: 25, 1: 3}, 0) == {0: 10}


def test_a_record_that_is_held_back_is_not_committed_although_reading_begins_there(
    offsets: GroupOffsets,
) -> None:
    """The partition was given away and came back meanwhile: what had been handed out is forgotten.
    Seen to fail: what comes before the held record was committed before it was appended.
    """
    offsets.on_partitions_revoked(set())
    offsets.held_back(0, 30)
    assert offsets.due({0: 30}, 1) == {}
    offsets.processed({0: 30})
    assert offsets.due({0: 30}, 1) == {0: 30}
    offsets.handed_out({0: _records(30)})
    assert offsets.due({0: 31}, 1) == {0: 30}


def test_a_partition_without_a_place_keeps_nobody_from_being_told(offsets: GroupOffsets) -> None:
    """It has no leader. Seen to fail: nothing at all was committed until it had."""
    offsets.processed({1: 4})
    assert offsets.due({0: 10}, 0) == {0: 10, 1: 4}
