"""How far a group is in one partition, as it is stored with the group's offset.

Offset and slot positions are one commit, so that whoever gets the partition next recognises what was
done already, and sees what is missing, however often the partition changes hands.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from passbook.messaging.member import Note

_TEXT: Final = re.compile(
    r"passbook/1 (first|now)((?: \d{1,2}=\d{1,19})*)(?: ([A-Za-z0-9_-]+={0,2}))?", re.ASCII
)
_FURTHEST: Final = 8192
"""Offsets beyond the first one that is not acknowledged of which it is stored whether they are: as
bits, 1.4 KB of the 4 KB that Kafka stores. What is further on comes again after a restart."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Everything before `offset` is acknowledged: in each slot, everything up to its position. Of
    what comes then, the offsets in `beyond` are, too.

    `from_first`: the group began with the first event of every slot, so that one without a position
    is at 0. Otherwise the next event of such a slot is right whatever its number.
    """

    offset: int
    positions: Mapping[int, int]
    from_first: bool
    beyond: frozenset[int] = frozenset()

    def note(self) -> Note:
        """Return it as it is stored."""
        words = ["passbook/1", "first" if self.from_first else "now"]
        words += [f"{slot}={number}" for slot, number in sorted(self.positions.items())]
        bits = sum(1 << at for one in self.beyond if (at := one - self.offset) < _FURTHEST)
        if bits:
            raw = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
            words.append(urlsafe_b64encode(raw).decode())
        return Note(self.offset, " ".join(words))

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
        bits = int.from_bytes(urlsafe_b64decode(found[3] or ""), "little")
        beyond = frozenset(note.offset + at for at in range(bits.bit_length()) if bits >> at & 1)
        return cls(note.offset, positions, found[1] == "first", beyond)
