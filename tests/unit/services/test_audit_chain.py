"""Invariant 6: the hash of an audit entry depends on every field, and never changes."""

from typing import Any

import pytest

from services.audit_projector.chain import GENESIS, entry_hash

_ENTRY: dict[str, Any] = {
    "previous": GENESIS,
    "slot": 13,
    "slot_seq": 7,
    "event_id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "account_id": "0b5e8a9c-6f1d-4a34-9a57-0d5f0f6f3a11",
    "version": 2,
    "event_type": "MoneyDeposited",
    "schema_version": 2,
    "data": '{"amount": "20.00", "reference": "Zoë"}',
    "actor": "Zoë",
    "command_id": "6b4a1c1e-92f4-4a55-8bb2-63fbd2f3a001",
    "correlation_id": "order 7",
    "occurred_at": "2026-01-31T12:00:00.000001Z",
    "recorded_at": "2026-01-31T12:00:01.000000Z",
}


def test_the_hash_of_an_entry_never_changes() -> None:
    """Stored chains would all be called forged."""
    assert entry_hash(**_ENTRY).hex() == (
        "8ea202bcdaca013c029016046d57e520efa1bd2d76b65f1501d00ef3c4aa8c6a"
    )


@pytest.mark.parametrize("field", _ENTRY)
def test_every_field_changes_the_hash(field: str) -> None:
    value = _ENTRY[field]
    other = value + (b"x" if isinstance(value, bytes) else "x" if isinstance(value, str) else 1)
    assert entry_hash(**{**_ENTRY, field: other}) != entry_hash(**_ENTRY)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"actor": "ab", "command_id": "c"}, {"actor": "a", "command_id": "bc"}),
        ({"actor": "a|1:b", "command_id": ""}, {"actor": "a", "command_id": "b"}),
        ({"slot": 1, "slot_seq": 23}, {"slot": 12, "slot_seq": 3}),
        ({"data": "{}|0:", "actor": ""}, {"data": "{}", "actor": "|0:"}),
    ],
)
def test_a_border_between_fields_cannot_be_moved(one: Any, other: Any) -> None:
    assert entry_hash(**{**_ENTRY, **one}) != entry_hash(**{**_ENTRY, **other})
