"""What is remembered of owners."""

from uuid import uuid4

from services.query_api.identity.known_owners import KnownOwners


def test_the_accounts_that_were_asked_for_last_are_remembered() -> None:
    known = KnownOwners(most=3)
    first, second, third, fourth = (uuid4() for _ in range(4))
    for account_id in (first, second, third):
        known.put(account_id, f"owner of {account_id}")
    assert known.get(first) == f"owner of {first}"
    known.put(fourth, "")
    assert known.get(second) is None
    assert [known.get(one) for one in (first, third, fourth)] == [
        f"owner of {first}",
        f"owner of {third}",
        "",
    ]
