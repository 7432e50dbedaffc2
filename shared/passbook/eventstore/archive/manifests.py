"""Manifests: one JSON document a run, which names its segments and the manifest before it.

A manifest says what the records in the database say, in a place that can be kept and compared
without the database. Its SHA-256 is on record, and in the next manifest.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from passbook.eventstore.archive.durable import UNFINISHED, published
from passbook.eventstore.archive.records import ArchiveRecord, Segment
from passbook.eventstore.errors import ArchiveRefused

_OURS: Final = re.compile(r"(?:manifest|segment)-(\d{6,})(?:-\d\d)?\.(?:json|parquet)")


class Manifest(NamedTuple):
    """The document of one run. `chosen` says what was to be archived."""

    environment_id: UUID
    chosen: Mapping[str, str]
    previous: ArchiveRecord | None
    segments: Sequence[Segment]

    @property
    def number(self) -> int:
        """Its place in the chain, from 1."""
        return self.previous.number + 1 if self.previous else 1

    def write(self, directory: Path) -> ArchiveRecord:
        """Have it on disk; return what to put on record."""
        document = {
            "manifest": self.number,
            "environment_id": str(self.environment_id),
            "created_at": datetime.now(UTC).isoformat(),
            "chosen": dict(self.chosen),
            "previous_sha256": self.previous.sha256.hex() if self.previous else None,
            "segments": described(self.segments),
        }
        content = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        name = f"manifest-{self.number:06d}.json"
        with published(directory / name) as unfinished:
            unfinished.write_bytes(content)
        previous = self.previous.sha256 if self.previous else None
        return ArchiveRecord(self.number, name, sha256(content).digest(), previous)


def segment_name(number: int, slot: int) -> str:
    """Return the name of the file for a slot of the manifest with this number."""
    return f"segment-{number:06d}-{slot:02d}.parquet"


def described(segments: Sequence[Segment]) -> list[dict[str, Any]]:
    """Return segments as a manifest describes them."""
    return [
        {
            "file": one.file,
            "sha256": one.sha256.hex(),
            "bytes": one.bytes,
            "slot": one.slot,
            "first_slot_seq": one.first_seq,
            "last_slot_seq": one.last_seq,
            "events": one.events,
        }
        for one in segments
    ]


def clear_leftovers(directory: Path, recorded: int, environment_id: UUID) -> None:
    """Remove what runs that did not end have left: files of manifests above the last on record.

    Raises:
        ArchiveRefused: another event store has its archive here; nothing was removed.
    """
    leftovers = [
        path
        for path in directory.iterdir()
        if (ours := _OURS.fullmatch(path.name.removesuffix(UNFINISHED))) and int(ours[1]) > recorded
    ]
    for path in leftovers:
        if path.suffix == ".json":
            owner = orjson.loads(path.read_bytes())["environment_id"]
            if owner != str(environment_id):
                message = (
                    f"{directory} is the archive of event store {owner}, this one is "
                    f"{environment_id}: set PASSBOOK_ARCHIVE_DIR to a directory of its own"
                )
                raise ArchiveRefused(message)
    for path in leftovers:
        path.unlink()
