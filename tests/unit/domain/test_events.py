"""Events: immutable, with their data as flat JSON of strings, and back again."""

import json
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from passbook.domain.errors import MalformedValue, UnknownEventType
from passbook.domain.events import EVENT_TYPES, AccountEvent, AccountOpened, event_from_data
from passbook.domain.stamps import new_uuid7, system_stamp
from tests.unit.domain.histories import (
    EVENT_ID,
    ID,
    MOMENT,
    Step,
    was_closed,
    was_deposited,
    was_frozen,
    was_opened,
    was_withdrawn,
)

_ONE_OF_EACH = pytest.mark.parametrize(
    ("step", "data"),
    [
        (was_opened("100.00"), {"owner_name": "Ada", "initial_deposit": "100.00"}),
        (was_deposited("0.10", "salary"), {"amount": "0.10", "reference": "salary"}),
        (was_withdrawn("20.00"), {"amount": "20.00", "reference": ""}),
        (was_frozen("court order"), {"reason": "court order"}),
        (was_closed("80.10"), {"closing_balance": "80.10"}),
    ],
    ids=list(EVENT_TYPES),
)


@_ONE_OF_EACH
def test_an_event_tells_itself_as_json(step: Step, data: dict[str, str]) -> None:
    event = step(3)
    told = event.to_dict()
    assert told == {
        "event_type": type(event).__name__,
        "event_id": str(EVENT_ID),
        "occurred_at": "2026-01-31T12:00:00.000001+00:00",
        "version": 3,
        "data": {"account_id": str(ID), **data},
    }
    assert json.loads(json.dumps(told)) == told


@_ONE_OF_EACH
def test_an_event_is_read_back_from_its_data(step: Step, data: dict[str, str]) -> None:
    event = step(3)
    again = event_from_data(
        event.event_type,
        event.data,
        account_id=ID,
        event_id=EVENT_ID,
        occurred_at=MOMENT,
        version=3,
    )
    assert again == event
    assert set(data) | {"account_id"} == set(event.data)


@_ONE_OF_EACH
def test_an_event_cannot_be_changed(step: Step, data: dict[str, str]) -> None:
    event = step(1)
    for name in (*data, "version", "event_id"):
        with pytest.raises(FrozenInstanceError):
            setattr(event, name, None)


def _read(event_type: str, data: dict[str, str]) -> AccountEvent:
    return event_from_data(
        event_type, data, account_id=ID, event_id=EVENT_ID, occurred_at=MOMENT, version=1
    )


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(UnknownEventType, match="AccountPromoted") as refusal:
        _read("AccountPromoted", {})
    assert refusal.value.event_type == "AccountPromoted"


@pytest.mark.parametrize("amount", ["1e3", "-1.00", "NaN"])
def test_a_stored_amount_that_is_none_is_refused(amount: str) -> None:
    with pytest.raises(MalformedValue):
        _read("MoneyDeposited", {"amount": amount, "reference": ""})


def test_stored_data_without_a_field_is_refused() -> None:
    with pytest.raises(KeyError):
        _read("MoneyDeposited", {"amount": "1.00"})


def test_an_event_made_by_hand_gets_identity_time_and_version() -> None:
    event = AccountOpened(ID, "Ada", Decimal("100.00"))
    assert event.event_id.version == 7
    assert event.version == 1
    assert event.occurred_at.tzinfo is UTC
    assert event.account_id == ID


def test_uuid7_has_version_variant_and_time() -> None:
    before = int(datetime.now(UTC).timestamp() * 1000)
    made = [new_uuid7() for _ in range(1000)]
    after = int(datetime.now(UTC).timestamp() * 1000)
    assert {uuid.version for uuid in made} == {7}
    assert {uuid.variant for uuid in made} == {"specified in RFC 4122"}
    assert len(set(made)) == 1000
    assert all(before - 1 <= uuid.int >> 80 <= after + 1 for uuid in made)


def test_the_system_stamp_is_an_id_and_an_aware_time() -> None:
    event_id, moment = system_stamp()
    assert isinstance(event_id, UUID)
    assert moment.tzinfo is UTC
