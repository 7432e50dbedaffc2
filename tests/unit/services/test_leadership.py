"""Sharing out groups of slots, where an answer of the database comes late."""

import pytest

from services.outbox_relay import leadership as module
from services.outbox_relay.leadership import Leadership


async def test_what_is_released_during_a_question_is_released_with_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seen to fail: such a group stayed locked by a relay that had forgotten it, and nobody published
    it until that session ended.
    """
    leading = Leadership("postgresql:///nowhere", groups=4)
    leading._number = 1
    given: list[list[int]] = []

    async def ask(query: str, *arguments: object) -> list[tuple[object, ...]]:
        match query:
            case module._GIVE:
                (locks,) = arguments
                given.append(list(locks))  # type: ignore[call-overload]
                if len(given) == 1:
                    leading.release({3})
                return []
            case module._NUMBERS:
                return [(1,), (2,)]
        (locks,) = arguments
        return [(lock, True) for lock in locks]  # type: ignore[attr-defined]

    monkeypatch.setattr(leading, "_ask", ask)
    leading._held = frozenset({0, 1, 2, 3})
    leading.release({1})
    await leading._share_out()
    await leading._share_out()
    assert [len(locks) for locks in given] == [1, 1]
    assert leading._held == leading.groups == {0, 2}
