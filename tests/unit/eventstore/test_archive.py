"""What the archive costs whoever does not use it, and says when it cannot be used."""

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from passbook.eventstore.archive.files import Archive
from passbook.eventstore.archive.records import Segment
from passbook.eventstore.archive.segments import digest
from passbook.eventstore.errors import ArchiveUnreadable

_SERVICES = (
    *("command_service", "outbox_relay", "balance_projector", "audit_projector", "query_api"),
)


def test_no_service_loads_pyarrow_before_it_reads_an_archived_event() -> None:
    """With its 60 MB it would be half of a service's memory. Seen to fail: with the import at the
    top of `segments`.
    """
    imports = "; ".join(f"import services.{name}.__main__" for name in _SERVICES)
    code = f"import sys; {imports}; import passbook.cli.archive; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_pyarrow_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "segment-000001-05.parquet"
    file.write_bytes(b"anything")
    segment = Segment(1, 5, 1, 9, 9, file.name, digest(file), 8)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ArchiveUnreadable, match=r"passbook\[archive\]"):
        Archive(tmp_path).of_streams(segment, [uuid4()])


def test_what_is_no_parquet_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "segment-000001-05.parquet"
    file.write_bytes(b"recorded like this")
    segment = Segment(1, 5, 1, 9, 9, file.name, digest(file), 18)
    with pytest.raises(ArchiveUnreadable, match="is not a Parquet file") as failure:
        Archive(tmp_path).between(segment, 1, 9)
    assert failure.value.file == file.name
