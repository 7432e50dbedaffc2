from collections.abc import Awaitable, Callable

from passbook.domain.account import BankAccount
from passbook.domain.slots import slot_of
from passbook.eventstore.repository import AccountRepository
from tests.support.program import Program


async def test_list_tells_positions_and_lag(
    program: Program,
    account: BankAccount,
    repository: AccountRepository,
    catch_up: Callable[[], Awaitable[None]],
) -> None:
    await catch_up()
    slot = slot_of(account.id)
    listed = (await program("projection", "list", "--json")).document
    assert [(one["name"], one["version"], one["parked"]) for one in listed] == [
        ("audit", 1, 0),
        ("balance", 2, 0),
    ]
    for one in listed:
        assert (one["events_behind"], one["seconds_behind"]) == (0, 0)
        assert set(one["positions"]) == {str(number) for number in range(64)}
        assert one["positions"][str(slot)] == 3
    account.freeze("court order")
    account.close()
    await repository.save(account)
    for one in (await program("projection", "list", "--json")).document:
        assert one["events_behind"] == 2
        assert 0 < one["seconds_behind"] < 60
