"""Old shapes of data: the chain to today's has no hole, and what is unknown raises."""

import pytest

from passbook.domain.errors import UnknownEventType, UnknownSchemaVersion
from passbook.domain.events import EVENT_TYPES
from passbook.domain.upcasting import STEPS, EventUpcaster

_OLD_DEPOSIT = {"account_id": "x", "amount": "1.00"}


def test_a_deposit_of_version_1_gets_a_reference() -> None:
    new = EventUpcaster().upcast("MoneyDeposited", 1, _OLD_DEPOSIT)
    assert new == {**_OLD_DEPOSIT, "reference": "legacy-deposit"}
    assert _OLD_DEPOSIT == {"account_id": "x", "amount": "1.00"}


def test_the_newest_version_is_left_alone() -> None:
    data = {"account_id": "x", "amount": "1.00", "reference": "salary"}
    assert EventUpcaster().upcast("MoneyDeposited", 2, data) == data


def test_every_version_but_the_newest_has_exactly_one_step() -> None:
    needed = {
        (name, version)
        for name, event_type in EVENT_TYPES.items()
        for version in range(1, event_type.schema_version)
    }
    assert set(STEPS) == needed


@pytest.mark.parametrize("event_type", list(EVENT_TYPES))
@pytest.mark.parametrize("beyond", [-1, 0, 3, 99])
def test_an_unknown_schema_version_raises(event_type: str, beyond: int) -> None:
    with pytest.raises(UnknownSchemaVersion) as refusal:
        EventUpcaster().upcast(event_type, beyond, {})
    assert (refusal.value.event_type, refusal.value.schema_version) == (event_type, beyond)


def test_an_unknown_type_raises() -> None:
    with pytest.raises(UnknownEventType, match="AccountPromoted"):
        EventUpcaster().upcast("AccountPromoted", 1, {})


def test_a_hole_in_the_chain_raises() -> None:
    with pytest.raises(UnknownSchemaVersion):
        EventUpcaster({}).upcast("MoneyDeposited", 1, _OLD_DEPOSIT)
