"""Every JSON shape that was ever stored, kept in `tests/golden` and readable for ever.

A file `<EventType>.v<N>.json` has the data as it was stored and the data it is read as today.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import pytest

from passbook.domain.events import EVENT_TYPES, event_from_data
from passbook.domain.upcasting import EventUpcaster

_FOLDER: Final = Path(__file__).parents[2] / "golden"
_EVERY_SHAPE: Final = [
    (name, version)
    for name, event_type in EVENT_TYPES.items()
    for version in range(1, event_type.schema_version + 1)
]


def _golden(event_type: str, version: int) -> dict[str, Any]:
    golden: dict[str, Any] = json.loads((_FOLDER / f"{event_type}.v{version}.json").read_text())
    return golden


def test_every_shape_has_a_file_and_every_file_a_shape() -> None:
    found = {path.name for path in _FOLDER.glob("*.json")}
    assert found == {f"{name}.v{version}.json" for name, version in _EVERY_SHAPE}


@pytest.mark.parametrize(("event_type", "version"), _EVERY_SHAPE)
def test_a_stored_shape_is_read_as_today(event_type: str, version: int) -> None:
    golden = _golden(event_type, version)
    event = event_from_data(
        event_type,
        EventUpcaster().upcast(event_type, version, golden["stored"]),
        account_id=UUID(golden["stored"]["account_id"]),
        event_id=uuid4(),
        occurred_at=datetime.now(UTC),
        version=1,
    )
    assert type(event) is EVENT_TYPES[event_type]
    assert event.data == golden["read_as"]


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_the_newest_shape_is_the_one_that_is_written(event_type: str) -> None:
    golden = _golden(event_type, EVENT_TYPES[event_type].schema_version)
    assert golden["stored"] == golden["read_as"]
