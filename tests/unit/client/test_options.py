"""What a subscription refuses before anything is connected."""

import pytest

from passbook.client import Bank, PassbookClient
from passbook.client.testing import FakeBank


@pytest.fixture(params=["real", "fake"])
def bank(request: pytest.FixtureRequest) -> Bank:
    return FakeBank() if request.param == "fake" else PassbookClient("unused")


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"group": ""}, ValueError, "a group has a name"),
        ({"group": "r", "from_": "end"}, ValueError, "from_ is"),
        ({"group": "r", "max_in_flight": 0}, ValueError, "max_in_flight is"),
        ({"group": "r", "types": "MoneyDeposited"}, TypeError, "types is a collection"),
        ({"group": "r", "types": ["Deposited"]}, ValueError, "no such event: Deposited"),
    ],
)
async def test_options_that_make_no_sense_are_refused_at_once(
    bank: Bank, options: dict[str, object], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        bank.subscribe(**options)  # type: ignore[arg-type]


async def test_the_groups_of_the_banks_services_are_not_for_others(bank: Bank) -> None:
    with pytest.raises(ValueError, match="not one that begins with"):
        bank.subscribe(group="bank.command-service")
