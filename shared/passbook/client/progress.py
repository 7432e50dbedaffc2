"""How far a group is in one partition, as it is stored with the group's offset.

Offset and slot positions are one commit, so that whoever gets the partition next recognises what was
done already, and sees what is missing, however often the partition changes hands.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from passbook.messaging.member import Note

_TEXT: Final = re.compile(r"passbook/1 (first|now)((?: \d{1,2}=\d{1,19})*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Progress:
    """Everything before `offset` is acknowledged: in each slot, everything up to its position.

    `from_first`: the group began with the first event of every slot, so that one without a position
    is at 0. Otherwise the next event of such a slot is right whatever its number.
    """

    offset: int
    positions: Mapping[int, int]
    from_first: bool

    def note(self) -> Note:
        """Return it as it is stored: at most 64 slots, hence less than 2 KB of the 4 KB there are."""
        positions = "".join(f" {slot}={number}" for slot, number in sorted(self.positions.items()))
        return Note(self.offset, f"passbook/1 {'first' if self.from_first else 'now'}{positions}")

    @classmethod
    def of(cls, note: Note) -> Self:
        """Return what was stored. An offset that somebody else has set, with a tool, comes without
        positions: reading goes on there, and every slot with whatever comes.
        """
        found = _TEXT.fullmatch(note.text)
        if found is None:
            return cls(note.offset, {}, from_first=False)
        pairs = (pair.split("=") for pair in found[2].split())
        positions = {int(slot): int(number) for slot, number in pairs}
        return cls(note.offset, positions, from_first=found[1] == "first")
