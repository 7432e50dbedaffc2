"""The archive: are the files that are on record where this process looks for them?"""

from pathlib import Path

import asyncpg

from passbook.cli.checks.finding import Verdict, failed, fine
from passbook.eventstore.archive.records import all_segments


async def files(connection: asyncpg.Connection, directory: Path) -> Verdict:
    """Say whether every segment is there with its size; what it says is `archive verify`'s."""
    segments = await all_segments(connection.fetch)
    if not segments:
        return fine("nothing is archived")
    sizes = _sizes(directory)
    wrong = [one.file for one in segments if sizes.get(one.file) != one.bytes]
    if wrong:
        return failed(
            f"{len(wrong)} of {len(segments)} segments are not in {directory}, such as {wrong[0]}",
            "set PASSBOOK_ARCHIVE_DIR to where they are, or bring them back from a copy",
        )
    return fine(f"{len(segments)} segments are in {directory}")


def _sizes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in directory.glob("*.parquet")}
